"""The models that the demo page can show: a SavedModel, or a trained model."""

import base64
import io
import threading
from typing import Protocol

import numpy as np
import tensorflow as tf
from PIL import Image

from mirrorgan_tf.mirrorgan import MirrorGAN

__all__ = ["DemoModel", "SavedModelSource", "TrainedModelSource"]

_WARM_UP_CAPTION = "a bird"
_CANDIDATES = 4


class ImageSource(Protocol):
    """Generates images with all that the page shows.

    Attributes:
        signatures: names of an exported model's signatures that the page uses; it
            offers the best of several images where there is `best_of`.
    """

    signatures: list[str]

    def describe(self, caption: str, seed: int) -> dict:
        """Returns what `MirrorGAN.describe` returns for one caption."""

    def best_seed(self, caption: str, seed: int) -> int:
        """Returns the seed, from `seed` on, whose image fits the caption best."""


class DemoModel:
    """Answers the page's requests, one after the other.

    The constructor generates an image, so that the first request is as fast as the
    next.

    Args:
        source: generates the images.
    """

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self.signatures = sorted(source.signatures)
        # One image at a time: it uses all cores.
        self._lock = threading.Lock()
        self.generate(_WARM_UP_CAPTION, 0, best="best_of" in self.signatures)

    def generate(self, caption: str, seed: int, *, best: bool = False) -> dict:
        """Generates an image and everything that the page shows with it.

        Args:
            caption: any text.
            seed: int64; with `best` the first of the candidates'.
            best: choose the candidate that fits the caption best.

        Returns:
            dict of JSON values: `seed` of the image, as text (JavaScript rounds large
            numbers); `images`, PNG data URLs by side in px; `words` that the model
            knows; `attention`, for each stage's side a list with a grey PNG data URL
            and its greatest weight for each word; with a STREAM also `redescription`
            and `log_likelihood`.
        """
        with self._lock:
            if best:
                seed = self._source.best_seed(caption, seed)
            description = self._source.describe(caption, seed)
        words = description["words"]
        answer = {
            "seed": str(seed),
            "images": {
                image.shape[0]: _data_url(image) for image in description["images"]
            },
            "words": words,
            "attention": {
                maps.shape[0]: [_attention(maps[..., i]) for i in range(len(words))]
                for maps in description["word_attention"]
            },
        }
        if "redescription" in description:
            answer["redescription"] = description["redescription"]
            answer["log_likelihood"] = float(description["log_likelihood"])
        return answer


class TrainedModelSource:
    """A model of a workdir or a preset.

    Args:
        model: with or without a STREAM.
    """

    def __init__(self, model: MirrorGAN) -> None:
        self._model = model
        self.signatures = ["explain"]
        if model.stream is not None:
            self.signatures += ["redescribe", "best_of"]

    def describe(self, caption: str, seed: int) -> dict:
        """See `ImageSource`."""
        return self._model.describe(caption, seed=seed)

    def best_seed(self, caption: str, seed: int) -> int:
        """See `ImageSource`."""
        seeds = [min(seed + i, 2**63 - 1) for i in range(_CANDIDATES)]
        candidates = self._model.describe([caption] * _CANDIDATES, seed=seeds)
        return seeds[int(candidates["log_likelihood"].argmax())]


class SavedModelSource:
    """An exported model.

    Args:
        loaded: what `tf.saved_model.load` returned; signature `explain` is required.
    """

    def __init__(self, loaded) -> None:
        # Its functions do not keep its variables alive.
        self._loaded = loaded
        self.signatures = list(loaded.signatures)

    def describe(self, caption: str, seed: int) -> dict:
        """See `ImageSource`."""
        explained = self._call("explain", caption, seed)
        words = explained["words"][: int(explained["length"])]
        description = {
            "images": _ascending(explained, "image_"),
            "words": [word.decode() for word in words],
            "word_attention": _ascending(explained, "word_attention_"),
        }
        if "redescribe" in self.signatures:
            redescribed = self._call("redescribe", caption, seed)
            description["redescription"] = redescribed["redescription"].decode()
            description["log_likelihood"] = redescribed["log_likelihood"]
        return description

    def best_seed(self, caption: str, seed: int) -> int:
        """See `ImageSource`."""
        return int(self._call("best_of", caption, seed)["seed"])

    def _call(self, signature, caption, seed):
        outputs = self._loaded.signatures[signature](
            caption=tf.constant([caption.encode("utf-8", "replace")]),
            seed=tf.constant([seed], tf.int64),
        )
        return {name: value.numpy()[0] for name, value in outputs.items()}


def _ascending(outputs, prefix):
    """The outputs of the names prefix + side in px, by rising side."""
    by_side = {
        int(name.removeprefix(prefix)): value
        for name, value in outputs.items()
        if name.startswith(prefix)
    }
    return [by_side[side] for side in sorted(by_side)]


def _attention(weights):
    greatest = float(weights.max())
    grey = (255 * weights / max(greatest, 1e-9)).round().astype(np.uint8)
    return {"map": _data_url(grey), "greatest": greatest}


def _data_url(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
