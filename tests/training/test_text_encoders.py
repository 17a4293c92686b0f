import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.captions import with_encoder_text
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage
from tests.training.mean_words import TOKENS, MeanWords

CAPTIONS = ["a red bird", "black wings", "", "a bird with black and unheard-of wings"]
VOCABULARY = Vocabulary(["a", "red", "bird", "with", "black", "wings"])


def _batch(config, tokenizer):
    ids, lengths = tokenizer(tf.constant(CAPTIONS))
    random = np.random.default_rng(0)
    batch = {
        "images": tuple(
            tf.constant(random.uniform(-1, 1, (4, size, size, 3)), tf.float32)
            for size in config.sizes
        ),
        "captions": tf.constant(CAPTIONS)[:, None],
        "caption_ids": ids[:, None],
        "caption_lengths": lengths[:, None],
        "class_ids": tf.range(4),
        "index": tf.range(4),
    }
    return with_encoder_text(batch, networks.text_encoder_class(config).text_inputs)


def _step_twice(stage, batch):
    for number in range(2):
        losses = stage.step(batch, tf.constant([1, number]))
        assert np.isfinite([float(loss) for loss in losses.values()]).all()


def test_second_text_encoder_trains_in_all_stages_and_generates(
    tiny_config, untraced, monkeypatch
):
    monkeypatch.setitem(networks.TEXT_ENCODERS, "mean_words", MeanWords)
    keras.utils.set_random_seed(0)
    config = tiny_config.replace(text_encoder="mean_words", damsm_weight=1.0)
    tokenizer = CaptionTokenizer(VOCABULARY, config.text.max_words)
    words = len(VOCABULARY) + 1
    batch = _batch(config, tokenizer)
    assert batch["text"]["tokens"].shape == (4, 1, TOKENS)

    stage = GlamStage.from_config(config, words)
    start = stage.stem.get_weights()
    _step_twice(StemStage(config, stage.stem, stage.image_encoder), batch)
    trained = stage.stem.get_weights()
    assert all((a != b).any() for a, b in zip(start, trained, strict=True))
    _step_twice(StreamStage(config, stage.stream), batch)
    _step_twice(stage, batch)
    for before, after in zip(trained, stage.stem.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    model = MirrorGAN(tokenizer, stage.stem, stage.glam, stage.stream, config=config)
    images = model.generate(["a red bird", "a red zebra"], seed=1)
    assert images.shape == (2, 32, 32, 3)
    # The vocabulary lacks the last word, the encoder's own tokens do not.
    assert (images[0] != images[1]).any()


def test_unknown_text_encoder_is_refused_by_name(tiny_config):
    config = tiny_config.replace(text_encoder="clip")
    with pytest.raises(UserError, match="--text_encoder=clip: must be one of stem"):
        networks.build_text_encoder(config, 7)
