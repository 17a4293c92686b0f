"""An exported model as the demo page asks it."""

import base64
import io
import threading
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from mirrorgan_tf.serving.loading import load_saved_model

__all__ = ["DemoModel"]


class DemoModel:
    """Captions to what the page shows.

    Args:
        path: a version's folder, or the folder of all versions: then the newest.

    Raises:
        UserError: there is no SavedModel, or one without signature `explain`.
    """

    def __init__(self, path: str | Path) -> None:
        self._loaded = load_saved_model(path, "explain")[0]
        # One image at a time: it takes all cores.
        self._lock = threading.Lock()

    @property
    def signatures(self) -> list[str]:
        """Names of all signatures."""
        return sorted(self._loaded.signatures)

    def generate(self, caption: str, seed: int, *, best: bool = False) -> dict:
        """Makes an image and all that goes with it.

        Args:
            caption: any text.
            seed: int64; with `best` the first of the candidates'.
            best: choose by signature `best_of`.

        Returns:
            dict of JSON values: `seed` of the image, as text (JavaScript rounds large
            numbers); `images`, PNG data URLs by side in px; `words` that the model
            knows; `attention`, for each stage's side a list with a grey PNG data URL
            and its greatest weight for each word; with signature `redescribe` also
            `redescription` and `log_likelihood`.
        """
        with self._lock:
            if best:
                seed = int(self._ask("best_of", caption, seed)["seed"])
            explained = self._ask("explain", caption, seed)
            read = (
                self._ask("redescribe", caption, seed)
                if "redescribe" in self._loaded.signatures
                else None
            )
        length = int(explained["length"])
        answer = {
            "seed": str(seed),
            "images": {
                side: _data_url(value)
                for side, value in _by_side(explained, "image_").items()
            },
            "words": [word.decode() for word in explained["words"][:length]],
            "attention": {
                side: [_attention(value[..., word]) for word in range(length)]
                for side, value in _by_side(explained, "word_attention_").items()
            },
        }
        if read is not None:
            answer["redescription"] = read["redescription"].decode()
            answer["log_likelihood"] = float(read["log_likelihood"])
        return answer

    def _ask(self, signature, caption, seed):
        answer = self._loaded.signatures[signature](
            caption=tf.constant([caption.encode("utf-8", "replace")]),
            seed=tf.constant([seed], tf.int64),
        )
        return {name: value.numpy()[0] for name, value in answer.items()}


def _by_side(answer, prefix):
    named = {
        int(name.removeprefix(prefix)): value
        for name, value in answer.items()
        if name.startswith(prefix)
    }
    return dict(sorted(named.items()))


def _attention(weights):
    greatest = float(weights.max())
    grey = (255 * weights / max(greatest, 1e-9)).round().astype(np.uint8)
    return {"map": _data_url(grey), "greatest": greatest}


def _data_url(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
