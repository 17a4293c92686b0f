"""Our own networks as judges of images: DAMSM's image encoder and STREAM."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.transforms import to_float
from mirrorgan_tf.evaluation.features import fingerprint
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.redescription import greedy, log_likelihood
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["DamsmJudge", "StreamJudge"]

_CAPTIONS_AT_ONCE = 256


class DamsmJudge:
    """Images and captions to codes in the space of DAMSM."""

    def __init__(
        self, image_encoder: ImageEncoder, stem: Stem, tokenizer: CaptionTokenizer
    ):
        """Takes trained parts."""
        self.facts = {"image_encoder": fingerprint(image_encoder.weights)}
        self._code = tf.function(
            lambda images: image_encoder(to_float(images))[1],
            reduce_retracing=True,
            autograph=False,
        )
        self._sentence = tf.function(
            lambda captions: stem(*tokenizer(captions))[1],
            reduce_retracing=True,
            autograph=False,
        )

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Images (B, S, S, 3) uint8 to `code` (B, D)."""
        return {"code": self._code(tf.constant(images)).numpy()}

    def embed(self, captions: Sequence[str]) -> np.ndarray:
        """N captions to sentences (N, D)."""
        return np.concatenate(
            [self._sentence(part).numpy() for part in _parts(captions)]
        )


class StreamJudge:
    """What STREAM says of images, and how likely it finds captions."""

    def __init__(self, stream: Stream, tokenizer: CaptionTokenizer):
        """Takes a trained STREAM and its tokenizer."""
        self.facts = {"stream": fingerprint(stream.weights)}
        self._tokenizer = tokenizer
        max_words = tokenizer.max_words

        @tf.function(reduce_retracing=True, autograph=False)
        def look(images):
            feature = stream.encoder(to_float(images))
            return feature, greedy(stream.decoder, feature, max_words)

        @tf.function(reduce_retracing=True, autograph=False)
        def likelihood(features, captions):
            ids, lengths = tokenizer(captions)
            # The end counts where there is room for it.
            words = tf.minimum(lengths + 1, max_words)
            return log_likelihood(stream.decoder, features, ids), words

        self._look, self._likelihood = look, likelihood

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Images (B, S, S, 3) uint8 to `feature` (B, E) and `said` (B, L), ids."""
        feature, said = self._look(tf.constant(images))
        return {"feature": feature.numpy(), "said": said.numpy()}

    def texts(self, said: np.ndarray) -> list[str]:
        """Ids (N, L) to N captions."""
        return [text.decode() for text in self._tokenizer.detokenize(said).numpy()]

    def likelihood(
        self, features: np.ndarray, captions: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Natural logs of N captions' probabilities, and words counted, each (N,).

        Args:
            features: (N, E), of the image that each caption is read from.
            captions: N texts; their known words are asked for, and their end.
        """
        done = [
            self._likelihood(tf.constant(some), part)
            for some, part in zip(_parts(features), _parts(captions), strict=True)
        ]
        logs, words = zip(*done, strict=True)
        return np.concatenate(logs), np.concatenate(words)


def _parts(rows):
    return [
        rows[start : start + _CAPTIONS_AT_ONCE]
        for start in range(0, len(rows), _CAPTIONS_AT_ONCE)
    ]
