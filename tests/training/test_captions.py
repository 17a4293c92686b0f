import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.losses.caption import append_end, mean_word_loss
from mirrorgan_tf.losses.damsm import damsm_losses
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.training.captions import (
    all_captions,
    captions_per_image,
    first_captions,
    with_encoder_text,
)
from mirrorgan_tf.training.distribution import global_mean
from mirrorgan_tf.training.stream_stage import captioning_loss

WORDS = 11


@pytest.fixture
def batch(tiny_config):
    random = np.random.default_rng(0)
    shape = (4, 3, tiny_config.text.max_words)
    return {
        "images": (random.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32),),
        "captions": tf.fill(shape[:2], "a bird"),
        "caption_ids": tf.constant(random.integers(1, WORDS, shape), tf.int32),
        "caption_lengths": tf.constant(
            random.integers(1, shape[-1] + 1, shape[:2]), tf.int32
        ),
    }


def test_captions_of_an_image_are_adjacent_rows(batch):
    assert captions_per_image(batch) == 3
    ids, lengths = batch["caption_ids"], batch["caption_lengths"]
    np.testing.assert_array_equal(all_captions(ids)[6:9], ids[2])
    np.testing.assert_array_equal(all_captions(lengths)[9:], lengths[3])
    np.testing.assert_array_equal(first_captions({"ids": ids})["ids"], ids[:, 0])


def test_encoder_text_has_one_row_per_caption(batch):
    stem_batch = with_encoder_text(batch, Stem.text_inputs)
    assert "captions" not in stem_batch
    np.testing.assert_array_equal(stem_batch["text"]["ids"], batch["caption_ids"])
    np.testing.assert_array_equal(
        stem_batch["text"]["lengths"], batch["caption_lengths"]
    )

    def text_inputs(captions, ids, lengths):
        return {"bytes": tf.io.decode_raw(captions, tf.uint8)}

    own = with_encoder_text(batch, text_inputs)["text"]["bytes"]
    assert own.shape == (4, 3, len("a bird"))
    assert bytes(own.numpy()[3, 2]) == b"a bird"


def test_captioning_loss_of_three_captions_equals_loss_of_repeated_images(
    batch, tiny_config
):
    keras.utils.set_random_seed(0)
    stream = networks.build_stream(tiny_config, WORDS)
    once = captioning_loss(stream, batch, training=False)
    ids, lengths = append_end(
        all_captions(batch["caption_ids"]), all_captions(batch["caption_lengths"])
    )
    logits = stream(np.repeat(batch["images"][0], 3, axis=0), ids)
    thrice = mean_word_loss(logits, ids, lengths, mean=global_mean)
    np.testing.assert_allclose(once, thrice, rtol=1e-6)


def test_damsm_takes_the_mean_over_sentences_and_the_words_of_the_first(tiny_config):
    random = np.random.default_rng(1)

    def normal(*shape):
        return tf.constant(random.normal(size=shape), tf.float32)

    sentences = normal(4, 3, 8)
    max_words = tiny_config.text.max_words
    rest = {
        "regions": normal(4, 9, 8),
        "code": normal(4, 8),
        "words": normal(4, max_words, 8),
        "padding_mask": ~tf.sequence_mask([1, 6, 3, 2], max_words),
        "class_ids": tf.constant([0, 1, 2, 1]),
        "mean": global_mean,
    }
    together = damsm_losses(tiny_config.losses, sentence=sentences, **rest)
    singly = [
        damsm_losses(tiny_config.losses, sentence=sentences[:, place], **rest)
        for place in range(3)
    ]
    for name, loss in together.items():
        expected = np.mean([losses[name] for losses in singly])
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        assert ("sentence" in name) == (singly[0][name] != singly[1][name])
