"""Captions to images: tokenizer, STEM and GLAM in one, without the training."""

import tensorflow as tf

from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["TextToImage", "seeded_noise"]


class TextToImage(tf.Module):
    """The chain from caption strings to images, all in-graph."""

    def __init__(
        self, tokenizer: CaptionTokenizer, stem: Stem, glam: Glam, *, xla: bool = False
    ):
        """Takes trained parts; `xla` compiles the generator, once a batch size."""
        super().__init__(name="text_to_image")
        self.tokenizer = tokenizer
        self.stem = stem
        self.glam = glam
        self.xla = xla

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
            What `Glam` returns, with what `embed` gives beside.
        """
        embedded = self.embed(captions)
        mask = padding_mask_from_lengths(embedded["lengths"], self.tokenizer.max_words)
        made = self.draw(
            embedded["words"], embedded["sentence"], noise, padding_mask=mask
        )
        return made | embedded

    def embed(self, captions: tf.Tensor) -> dict:
        """Captions (B,) to `ids` (B, L), `lengths` (B,), `words` and `sentence`."""
        ids, lengths = self.tokenizer(captions)
        words, sentence = self.stem(ids, lengths)
        return {
            "ids": ids,
            "lengths": lengths,
            "words": words,
            "sentence": sentence,
        }

    def interpolate(
        self,
        captions: tf.Tensor,
        others: tf.Tensor,
        weights: tf.Tensor,
        noise: tf.Tensor,
    ) -> dict:
        """Makes images between two captions.

        The sentences are mixed, and the words of both are attended to, each as much
        as its caption weighs: the image moves without a jump from one to the other.

        Args:
            captions: (B,) strings.
            others: (B,) strings.
            weights: (B,) in [0, 1], the share of `others`.
            noise: (B, noise_dim) from N(0, 1).

        Returns:
            What `Glam` returns; word attention is of 2L words.
        """
        shares = 1.0 - weights[:, None], weights[:, None]
        ends = self.embed(captions), self.embed(others)
        sentence = sum(
            share * end["sentence"] for share, end in zip(shares, ends, strict=True)
        )
        word_weights = [
            share
            * tf.sequence_mask(end["lengths"], self.tokenizer.max_words, share.dtype)
            for share, end in zip(shares, ends, strict=True)
        ]
        return self.draw(
            tf.concat([end["words"] for end in ends], axis=1),
            sentence,
            noise,
            word_weights=tf.concat(word_weights, axis=1),
        )

    def draw(
        self, words: tf.Tensor, sentence: tf.Tensor, noise: tf.Tensor, **attending
    ):
        """Embeddings and noise (B, noise_dim) to what `Glam` returns."""

        def glam(words, sentence, noise, attending):
            return self.glam(
                words,
                sentence,
                noise[:, : self.glam.noise_dim],
                noise[:, self.glam.noise_dim :],
                **attending,
            )

        if self.xla:
            # A new one at each trace: what it captures belongs to the caller's graph.
            glam = tf.function(glam, jit_compile=True, autograph=False)
        return glam(words, sentence, noise, attending)


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
