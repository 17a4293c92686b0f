import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.training.captions import all_captions, captions_each
from mirrorgan_tf.training.stem_stage import damsm_losses
from mirrorgan_tf.training.stream_stage import captioning_loss, redescription_loss

WORDS = 11


@pytest.fixture
def batch(tiny_config):
    random = np.random.default_rng(0)
    shape = (4, 3, tiny_config.text.max_words)
    ids = random.integers(1, WORDS, shape).astype(np.int32)
    lengths = random.integers(1, shape[-1] + 1, shape[:2]).astype(np.int32)
    return {
        "images": (random.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32),),
        "ids": tf.constant(ids[:, 0]),
        "lengths": tf.constant(lengths[:, 0]),
        "more_ids": tf.constant(ids[:, 1:]),
        "more_lengths": tf.constant(lengths[:, 1:]),
    }


def test_captions_of_an_image_stand_together(batch):
    ids, lengths = all_captions(batch)
    assert captions_each(batch) == 3
    np.testing.assert_array_equal(ids[6], batch["ids"][2])
    np.testing.assert_array_equal(ids[7:9], batch["more_ids"][2])
    np.testing.assert_array_equal(lengths[9], batch["lengths"][3])
    np.testing.assert_array_equal(lengths[10:], batch["more_lengths"][3])


def test_one_look_at_an_image_serves_all_its_captions(batch, tiny_config):
    keras.utils.set_random_seed(0)
    stream = networks.build_stream(tiny_config, WORDS)
    once = captioning_loss(stream, batch, training=False)
    thrice = redescription_loss(
        stream,
        np.repeat(batch["images"][0], 3, axis=0),
        *all_captions(batch),
        with_end=True,
    )
    np.testing.assert_allclose(once, thrice, rtol=1e-6)


def test_sentences_of_an_image_count_alike_and_words_once(tiny_config):
    random = np.random.default_rng(1)

    def normal(*shape):
        return tf.constant(random.normal(size=shape), tf.float32)

    sentences = normal(4, 3, 8)
    rest = {
        "regions": normal(4, 9, 8),
        "code": normal(4, 8),
        "words": normal(4, tiny_config.text.max_words, 8),
        "lengths": tf.constant([1, 6, 3, 2]),
        "class_ids": tf.constant([0, 1, 2, 1]),
    }
    together = damsm_losses(tiny_config, sentence=sentences, **rest)
    singly = [
        damsm_losses(tiny_config, sentence=sentences[:, place], **rest)
        for place in range(3)
    ]
    for name, loss in together.items():
        expected = np.mean([losses[name] for losses in singly])
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        assert ("sentence" in name) == (singly[0][name] != singly[1][name])
