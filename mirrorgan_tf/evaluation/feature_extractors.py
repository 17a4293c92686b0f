"""Feature extractors of a model's own networks: DAMSM's image encoder, and STREAM."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.transforms import to_float
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.features import FeatureExtractor, Features, fingerprint
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.redescription import greedy, log_likelihood
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.models.text_encoder import TextEncoder
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.workdir import open_image_encoder

__all__ = ["DamsmExtractor", "StreamExtractor", "model_extractors"]

_CAPTIONS_AT_ONCE = 256


class DamsmExtractor:
    """Codes of images and captions in the common space of DAMSM."""

    def __init__(
        self,
        image_encoder: ImageEncoder,
        stem: TextEncoder,
        tokenizer: CaptionTokenizer,
    ):
        self.facts = {"image_encoder": fingerprint(image_encoder.weights)}
        self._code = tf.function(
            lambda images: image_encoder(to_float(images))[1],
            reduce_retracing=True,
            autograph=False,
        )

        @tf.function(reduce_retracing=True, autograph=False)
        def sentences(captions):
            text = stem.text_inputs(captions, *tokenizer(captions))
            return stem(**text)[1]

        self._sentence = sentences

    def __call__(self, images: np.ndarray) -> Features:
        """Images (B, S, S, 3) uint8 to `code` (B, D)."""
        return {"code": self._code(tf.constant(images)).numpy()}

    def embed(self, captions: Sequence[str]) -> np.ndarray:
        """N captions to sentences (N, D)."""
        return np.concatenate(
            [
                self._sentence(tf.constant(part, tf.string)).numpy()
                for part in _parts(captions)
            ]
        )


class StreamExtractor:
    """STREAM's image features, its redescriptions and the likelihood of captions."""

    def __init__(self, stream: Stream, tokenizer: CaptionTokenizer):
        self.facts = {"stream": fingerprint(stream.weights)}
        self._tokenizer = tokenizer
        max_words = tokenizer.max_words

        @tf.function(reduce_retracing=True, autograph=False)
        def redescribe(images):
            feature = stream.encoder(to_float(images))
            return feature, greedy(stream.decoder, feature, max_words)

        @tf.function(reduce_retracing=True, autograph=False)
        def likelihood(features, captions):
            ids, lengths = tokenizer(captions)
            # The end of a caption counts as a word, unless the caption has as many
            # words as the decoder writes.
            words = tf.minimum(lengths + 1, max_words)
            return log_likelihood(stream.decoder, features, ids), words

        self._redescribe, self._likelihood = redescribe, likelihood

    def __call__(self, images: np.ndarray) -> Features:
        """Images (B, S, S, 3) uint8 to `feature` (B, E) and `redescription` (B, L)."""
        feature, ids = self._redescribe(tf.constant(images))
        return {"feature": feature.numpy(), "redescription": ids.numpy()}

    def texts(self, ids: np.ndarray) -> list[str]:
        """Word ids (N, L) to N captions."""
        return [text.decode() for text in self._tokenizer.detokenize(ids).numpy()]

    def likelihood(
        self, features: np.ndarray, captions: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Likelihood of captions given images.

        Args:
            features: (N, E), of the image of each caption.
            captions: N texts; words outside the vocabulary are left out.

        Returns:
            Natural logs of the captions' probabilities, and the numbers of words that
            were counted, each (N,).
        """
        parts = [
            self._likelihood(tf.constant(rows), texts)
            for rows, texts in zip(_parts(features), _parts(captions), strict=True)
        ]
        logs, words = zip(*parts, strict=True)
        return np.concatenate(logs), np.concatenate(words)


def model_extractors(
    model: MirrorGAN | None,
) -> dict[str, Callable[[], FeatureExtractor]]:
    """Functions that open a model's extractors `damsm` and `stream`.

    They raise UserError if the model lacks the network.

    Args:
        model: from a workdir or a preset; None for an export, which lacks both.
    """

    def damsm():
        if model is None:
            raise UserError("it needs DAMSM; give --workdir")
        if model.path is None or not (model.path / "stem").is_dir():
            raise UserError("it needs DAMSM, which a preset lacks; give --workdir")
        image_encoder = open_image_encoder(model)
        return DamsmExtractor(image_encoder, model.stem, model.tokenizer)

    def stream():
        if model is None:
            raise UserError("it needs STREAM; give --workdir or --preset")
        if model.stream is None:
            raise UserError("it needs STREAM, and the run has none; train stage stream")
        return StreamExtractor(model.stream, model.tokenizer)

    return {"damsm": damsm, "stream": stream}


def _parts(rows):
    return [
        rows[start : start + _CAPTIONS_AT_ONCE]
        for start in range(0, len(rows), _CAPTIONS_AT_ONCE)
    ]
