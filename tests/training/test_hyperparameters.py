from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from mirrorgan_tf.config import Config
from mirrorgan_tf.training.progress import write_hyperparameters


def test_tensorboard_reads_all_settings_of_a_run(tmp_path):
    config = Config.from_flags(seed=7, glam_steps=9, augment="color", flip=False)
    write_hyperparameters(config, tmp_path)
    events = event_accumulator.EventAccumulator(str(tmp_path / "logs")).Reload()
    summary = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG)
    content = plugin_data_pb2.HParamsPluginData.FromString(summary.plugin_data.content)
    values = content.session_start_info.hparams
    assert set(values) == set(config.to_flags())
    assert values["seed"].number_value == 7
    assert values["glam_steps"].number_value == 9
    assert values["augment"].string_value == "color"
    assert values["flip"].bool_value is False


def test_log_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    (tmp_path / "logs").write_text("a file, not a folder")
    write_hyperparameters(Config(), tmp_path)
    assert "logs cannot be written" in caplog.text
