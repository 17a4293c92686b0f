"""Class `TextToImage`: captions to images and their descriptions, in graphs.

`MirrorGAN`, the exported signatures and the observers of a training all use it.
"""

import tensorflow as tf

from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.redescription import greedy, log_likelihood
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.models.text_encoder import TextEncoder
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["TextToImage", "seeded_noise"]


class TextToImage(tf.Module):
    """Tokenizer, text encoder, generator and captioner, one after the other.

    All methods can be called inside `tf.function`.

    Args:
        tokenizer: captions to word ids.
        stem: the text encoder.
        glam: the generator.
        stream: describes images; None: `describe` returns no redescription.
        xla: compile the generator with XLA, once for each batch size.
    """

    def __init__(
        self,
        tokenizer: CaptionTokenizer,
        stem: TextEncoder,
        glam: Glam,
        stream: Stream | None = None,
        *,
        xla: bool = False,
    ):
        super().__init__(name="text_to_image")
        self.tokenizer = tokenizer
        self.stem = stem
        self.glam = glam
        self.stream = stream
        self.xla = xla

    @property
    def noise_dim(self) -> int:
        """Length of an image's noise, for z and for conditioning augmentation."""
        return self.glam.noise_dim + self.glam.condition_dim

    def __call__(self, captions: tf.Tensor, noise: tf.Tensor) -> dict:
        """Generates images.

        Args:
            captions: (B,) strings.
            noise: (B, noise_dim) from N(0, 1).

        Returns:
            What `Glam` and `embed` return.
        """
        embedded = self.embed(captions)
        outputs = self.from_embeddings(
            embedded["words"],
            embedded["sentence"],
            noise,
            padding_mask=embedded["padding_mask"],
        )
        return outputs | embedded

    def from_seeds(self, captions: tf.Tensor, seeds: tf.Tensor) -> dict:
        """Generates images with the noise of seeds, (B,) int64; see `__call__`."""
        return self(captions, seeded_noise(seeds, self.noise_dim))

    def describe(
        self, captions: tf.Tensor, seeds: tf.Tensor, *, redescribe: bool = True
    ) -> dict:
        """Generates images and describes them by STREAM.

        Args:
            captions: (B,) strings.
            seeds: (B,) int64.
            redescribe: False: compute no redescription, which takes a decoder step for
                each word.

        Returns:
            What `from_seeds` returns. With a STREAM also `redescription_ids`, (B, L)
            int32, and `log_likelihood`, (B,) float32, of the caption given the image.
        """
        outputs = self.from_seeds(captions, seeds)
        if self.stream is None:
            return outputs
        features = self.stream.encoder(outputs["images"][-1])
        decoder = self.stream.decoder
        if redescribe:
            outputs["redescription_ids"] = greedy(
                decoder, features, self.tokenizer.max_words
            )
        likelihood = log_likelihood(decoder, features, outputs["ids"])
        return outputs | {"log_likelihood": likelihood}

    def redescribe(self, images: tf.Tensor) -> tf.Tensor:
        """Images (B, s, s, 3) in [-1, 1] to word ids (B, L) of STREAM's captions."""
        features = self.stream.encoder(images)
        return greedy(self.stream.decoder, features, self.tokenizer.max_words)

    def embed(self, captions: tf.Tensor) -> dict:
        """Encodes captions (B,).

        Returns:
            The outputs of the text encoder by name, and `ids` (B, L) and `lengths`
            (B,) of the known words.
        """
        ids, lengths = self.tokenizer(captions)
        text = self.stem.text_inputs(captions, ids, lengths)
        words, sentence, padding_mask = self.stem(**text)
        return {
            "ids": ids,
            "lengths": lengths,
            "words": words,
            "sentence": sentence,
            "padding_mask": padding_mask,
        }

    def interpolate(
        self,
        captions: tf.Tensor,
        others: tf.Tensor,
        weights: tf.Tensor,
        noise: tf.Tensor,
    ) -> dict:
        """Generates images between two captions.

        The sentence embeddings are mixed, and the generator attends to the words of
        both captions in proportion to their weights. Images change gradually with the
        weight.

        Args:
            captions: (B,) strings.
            others: (B,) strings.
            weights: (B,) in [0, 1], weights of `others`.
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
            share * tf.cast(~end["padding_mask"], share.dtype)
            for share, end in zip(shares, ends, strict=True)
        ]
        return self.from_embeddings(
            tf.concat([end["words"] for end in ends], axis=1),
            sentence,
            noise,
            word_weights=tf.concat(word_weights, axis=1),
        )

    def from_embeddings(
        self, words: tf.Tensor, sentence: tf.Tensor, noise: tf.Tensor, **attention
    ):
        """Generates images of embeddings.

        Args:
            words: (B, L, D).
            sentence: (B, D).
            noise: (B, noise_dim).
            **attention: `padding_mask` or `word_weights` of `Glam`.

        Returns:
            What `Glam` returns.
        """

        def glam(words, sentence, noise, attention):
            return self.glam(
                words,
                sentence,
                noise[:, : self.glam.noise_dim],
                noise[:, self.glam.noise_dim :],
                **attention,
            )

        if self.xla:
            # A new function for each trace, since it captures tensors of that graph.
            glam = tf.function(glam, jit_compile=True, autograph=False)
        return glam(words, sentence, noise, attention)


def seeded_noise(seeds: tf.Tensor, dim: int) -> tf.Tensor:
    """Normal noise (B, dim), each row of which depends only on its own seed.

    Args:
        seeds: (B,) int64, any value.
        dim: length of a row.
    """
    pairs = tf.stack([seeds, tf.zeros_like(seeds)], axis=1)
    return tf.map_fn(
        lambda pair: tf.random.stateless_normal([dim], pair),
        pairs,
        fn_output_signature=tf.TensorSpec([dim], tf.float32),
    )
