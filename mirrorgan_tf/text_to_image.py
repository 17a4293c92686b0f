"""Captions to images: tokenizer, STEM and GLAM in one, without the training."""

import tensorflow as tf

from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["TextToImage", "seeded_noise"]


class TextToImage(tf.Module):
    """The chain from caption strings to images, all in-graph."""

    def __init__(self, tokenizer: CaptionTokenizer, stem: Stem, glam: Glam):
        """Takes trained parts."""
        super().__init__(name="text_to_image")
        self.tokenizer = tokenizer
        self.stem = stem
        self.glam = glam

    @property
    def noise_dim(self) -> int:
        """Numbers that fix an image besides its caption: z and the condition's."""
        return self.glam.noise_dim + self.glam.condition_dim

    def __call__(self, captions: tf.Tensor, noise: tf.Tensor) -> dict:
        """Makes images.

        Args:
            captions: (B,) strings.
            noise: (B, noise_dim) from N(0, 1).

        Returns:
            What `Glam` returns, with `ids` (B, L), `lengths` (B,), `words` and
            `sentence` beside.
        """
        ids, lengths = self.tokenizer(captions)
        words, sentence = self.stem(ids, lengths)
        made = self.glam(
            words,
            sentence,
            noise[:, : self.glam.noise_dim],
            noise[:, self.glam.noise_dim :],
            padding_mask=padding_mask_from_lengths(lengths, self.tokenizer.max_words),
        )
        return made | {
            "ids": ids,
            "lengths": lengths,
            "words": words,
            "sentence": sentence,
        }


def seeded_noise(seeds: tf.Tensor, dim: int) -> tf.Tensor:
    """N(0, 1) of shape (B, dim); a row depends on its own seed alone.

    Args:
        seeds: (B,) int64, any value.
        dim: numbers a row.
    """
    pairs = tf.stack([seeds, tf.zeros_like(seeds)], axis=1)
    return tf.map_fn(
        lambda pair: tf.random.stateless_normal([dim], pair),
        pairs,
        fn_output_signature=tf.TensorSpec([dim], tf.float32),
    )
