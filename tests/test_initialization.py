import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.data.pipeline import make_dataset
from mirrorgan_tf.data.sources import open_dataset
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.initialization import Initialization
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.captions import with_encoder_text
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stream_stage import StreamStage
from tests.color_folders import write_color_folder

SEED = tf.constant([0, 0])


def _folder_config(config, folder, words):
    write_color_folder(folder, words)
    return config.replace(dataset="folder", data_dir=str(folder))


def _train_stream(config, stage_of, steps):
    """Trains on the config's data set; returns losses, the stage and its tokenizer."""
    index = open_dataset(config)["train"]
    vocabulary = Vocabulary.from_captions(
        caption for captions in index.captions for caption in captions
    )
    tokenizer = CaptionTokenizer(vocabulary, config.text.max_words)
    keras.utils.set_random_seed(0)
    stage = stage_of(len(vocabulary) + 1, vocabulary)
    dataset = make_dataset(
        index,
        tokenizer,
        sizes=config.sizes[-1:],
        batch_size=3,
        seed=1,
        training=True,
        max_words=config.text.max_words,
    )
    text_inputs = networks.text_encoder_class(config).text_inputs
    step = tf.function(stage.step, autograph=False)
    losses = [
        float(step(with_encoder_text(batch, text_inputs), SEED)["cross_entropy"])
        for batch in dataset.take(steps)
    ]
    return losses, stage, tokenizer


@pytest.fixture(scope="module")
def preset(tiny_config, tmp_path_factory):
    """A preset with a STREAM that has learned the colours, and its model."""
    folder = tmp_path_factory.mktemp("source")
    config = _folder_config(
        tiny_config.replace(stream_learning_rate=0.02), folder / "data", ["a", "bird"]
    )
    _, stage, tokenizer = _train_stream(
        config,
        lambda size, _: StreamStage(config, networks.build_stream(config, size)),
        steps=60,
    )
    model = MirrorGAN(
        tokenizer,
        networks.build_text_encoder(config, len(tokenizer.vocabulary) + 1),
        networks.build_glam(config),
        stage.stream,
        config=config,
    )
    model.save_to_preset(folder / "preset")
    return folder / "preset", model


def test_first_20_steps_after_init_from_have_lower_losses_than_from_scratch(
    preset, tiny_config, tmp_path
):
    folder, _ = preset
    # A word that the source lacks changes the ids of the other words.
    config = _folder_config(tiny_config, tmp_path, ["a", "bird", "asleep"])

    def scratch(size, _):
        return StreamStage(config, networks.build_stream(config, size))

    def initialized(size, vocabulary):
        stage = scratch(size, vocabulary)
        Initialization(str(folder)).initialize(stage, vocabulary)
        return stage

    from_scratch, _, _ = _train_stream(config, scratch, steps=20)
    from_preset, _, _ = _train_stream(config, initialized, steps=20)
    assert from_preset[0] < from_scratch[0]
    assert np.mean(from_preset) < np.mean(from_scratch)


def test_generator_and_its_average_are_copied_and_discriminators_reported_missing(
    preset, tiny_config, caplog
):
    folder, model = preset
    stage = GlamStage.from_config(tiny_config, 4)
    caplog.set_level("INFO", logger="absl")
    Initialization(str(folder)).initialize(stage, Vocabulary(["a", "red", "bird"]))
    for network in (stage.glam, stage.glam_ema):
        for weight, source in zip(
            network.get_weights(), model.glam.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(weight, source)
    total = len(model.glam.weights)
    assert f"glam begins with {total} of {total} weights" in caplog.text
    assert "has no discriminators 0" in caplog.text


def test_discriminators_of_a_workdir_are_copied(tiny_config, trained_workdir, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained_workdir, workdir)
    source = GlamStage.from_config(tiny_config, 7)
    checkpoints = StageCheckpoints(workdir / "glam", source.checkpointed, keep=1)
    checkpoints.step.assign(8)
    checkpoints.save()
    stage = GlamStage.from_config(tiny_config, 7)
    Initialization(str(workdir)).initialize(stage, Vocabulary(["a", "red"]))
    for network, source_network in (
        (stage.glam, source.glam_ema),
        (stage.discriminators[1], source.discriminators[1]),
    ):
        for weight, source_weight in zip(
            network.get_weights(), source_network.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(weight, source_weight)


def test_missing_source_is_refused(tmp_path):
    with pytest.raises(UserError, match="--init_from=.*neither the workdir"):
        Initialization(str(tmp_path / "nothing"))
