import dataclasses

import pytest

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config
from mirrorgan_tf.options import read_config, write_config

FLAGS = ("birdlets", "cub", "coco")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scales", 0),
        ("scales", 5),
        ("base_size", 8),
        ("base_size", 48),
        ("words_dim", 7),
        ("dataset", "imagenet"),
        ("ema_decay", 1.5),
        ("redescription_weight", -1.0),
        ("generator_learning_rate", float("nan")),
        ("glam_batch_size", 1),
        ("seed", -1),
        ("stream_encoder_weights", "stem"),
    ],
)
def test_a_bad_value_is_refused_with_the_flags_name(field, value):
    with pytest.raises(UserError, match=f"--{field}="):
        Config(**{field: value})


def test_sizes_double():
    assert Config(base_size=16, scales=4).sizes == (16, 32, 64, 128)


def test_flags_file_gives_the_same_configuration_back(tmp_path):
    config = Config(
        redescription_weight=7.5, word_attention=False, data_dir="a b/ü", seed=9
    )
    write_config(config, tmp_path / "flags.cfg")
    assert read_config(tmp_path / "flags.cfg") == config


def test_an_unknown_flag_in_a_file_is_named(tmp_path):
    path = tmp_path / "flags.cfg"
    path.write_text("--no_such_flag=1\n")
    with pytest.raises(UserError, match="no_such_flag"):
        read_config(path)


def test_runtime_settings_do_not_fix_a_run():
    config = Config()
    moved = dataclasses.replace(config, data_dir="elsewhere", glam_steps=7)
    other = dataclasses.replace(config, generator_width=7)
    assert moved.fixed_settings() == config.fixed_settings()
    assert other.fixed_settings() != config.fixed_settings()
