"""Models for the demo page: exported SavedModels and trained models."""

import base64
import io
import threading
from typing import Protocol

import numpy as np
import tensorflow as tf
from PIL import Image

from mirrorgan_tf.mirrorgan import MirrorGAN

__all__ = ["DemoModel", "SavedModel", "TrainedModel"]

_WARM_UP_CAPTION = "a bird"
_CANDIDATES = 4


class DescribingModel(Protocol):
    """A model that generates and describes images.

    Attributes:
        signatures: names of the signatures of an exported model that it has. The page
            offers the best of several images if `best_of` is among them.
    """

    signatures: list[str]

    def describe(self, caption: str, seed: int) -> dict:
        """Returns what `MirrorGAN.describe` returns for one caption."""

    def best_seed(self, caption: str, seed: int) -> int:
        """Returns the seed, from `seed` on, whose image fits the caption best."""


class DemoModel:
    """Answers the requests of the page, one after the other.

    The constructor generates an image, so that the first request takes no longer than
    later ones.

    Args:
        model: generates and describes the images.
    """

    def __init__(self, model: DescribingModel) -> None:
        self._model = model
        self.signatures = sorted(model.signatures)
        # Generating one image uses all cores.
        self._lock = threading.Lock()
        self.generate(_WARM_UP_CAPTION, 0, best="best_of" in self.signatures)

    def generate(self, caption: str, seed: int, *, best: bool = False) -> dict:
        """Generates an image and everything that the page shows with it.

        Args:
            caption: any text.
            seed: int64; with `best` the seed of the first candidate.
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
                seed = self._model.best_seed(caption, seed)
            description = self._model.describe(caption, seed)
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


class TrainedModel:
    """A `DescribingModel` of a workdir or a preset.

    Args:
        model: with or without a STREAM.
    """

    def __init__(self, model: MirrorGAN) -> None:
        self._model = model
        self.signatures = ["explain"]
        if model.stream is not None:
            self.signatures += ["redescribe", "best_of"]

    def describe(self, caption: str, seed: int) -> dict:
        """See `DescribingModel`."""
        return self._model.describe(caption, seed=seed)

    def best_seed(self, caption: str, seed: int) -> int:
        """See `DescribingModel`."""
        seeds = [min(seed + i, 2**63 - 1) for i in range(_CANDIDATES)]
        candidates = self._model.describe([caption] * _CANDIDATES, seed=seeds)
        return seeds[int(candidates["log_likelihood"].argmax())]


class SavedModel:
    """A `DescribingModel` of an export.

    Args:
        loaded: what `tf.saved_model.load` returned; signature `explain` is required.
    """

    def __init__(self, loaded) -> None:
        # The functions of a loaded model do not keep its variables alive.
        self._loaded = loaded
        self.signatures = list(loaded.signatures)

    def describe(self, caption: str, seed: int) -> dict:
        """See `DescribingModel`."""
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
        """See `DescribingModel`."""
        return int(self._call("best_of", caption, seed)["seed"])

    def _call(self, signature, caption, seed):
        outputs = self._loaded.signatures[signature](
            caption=tf.constant([caption.encode("utf-8", "replace")]),
            seed=tf.constant([seed], tf.int64),
        )
        return {name: value.numpy()[0] for name, value in outputs.items()}


def _ascending(outputs, prefix):
    """The outputs with names of prefix + side in px, by ascending side."""
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
