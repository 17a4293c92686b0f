"""Class `MirrorGAN`, the Python API: captions to images, and images to captions.

Its methods that load and save import the packages above this one when they are called.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mirrorgan_tf.arguments import (
    check_captions,
    check_path,
    check_positive,
    check_seeds,
    value_errors,
    wrap_seed,
)
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.transforms import to_float, to_uint8
from mirrorgan_tf.models.folding import fold_batch_norm
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.models.text_encoder import TextEncoder
from mirrorgan_tf.text.splitting import unknown_words
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text_to_image import TextToImage

__all__ = ["MirrorGAN"]

# Outputs of the graph that `describe` returns.
_DESCRIBED = (
    "images",
    "ids",
    "lengths",
    "word_attention",
    "sentence_attention",
    "redescription_ids",
    "log_likelihood",
)


class MirrorGAN:
    """A trained model that generates images from captions and describes them.

    The same caption and seed always give the same image, whatever other captions are
    in the call.

    Attributes:
        tokenizer: captions to word ids.
        stem: the text encoder.
        glam: the generator; of a training, the averaged one unless stated otherwise.
        stream: images to captions; None if the model came without it.
        config: the settings of the training.
        step: training steps of the generator.
        path: the folder that the model was loaded from, if any.
    """

    def __init__(
        self,
        tokenizer: CaptionTokenizer,
        stem: TextEncoder,
        glam: Glam,
        stream: Stream | None = None,
        *,
        config: Config,
        step: int = 0,
        path: Path | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.stem = stem
        self.glam = glam
        self.stream = stream
        self.config = config
        self.step = step
        self.path = path
        # Exported models have their batch norms folded too: both give equal images.
        self._text_to_image = TextToImage(
            tokenizer, stem, fold_batch_norm(glam), stream
        )
        captions = tf.TensorSpec([None], tf.string)
        seeds = tf.TensorSpec([None], tf.int64)
        side = self.image_size
        # Each is traced at its first call.
        self._generate = tf.function(
            self._image_graph, input_signature=[captions, seeds], autograph=False
        )
        self._describe = tf.function(
            self._description_graph, input_signature=[captions, seeds], autograph=False
        )
        self._redescribe = tf.function(
            self._redescription_graph,
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8)],
            autograph=False,
        )

    @classmethod
    def from_preset(cls, preset: str | Path) -> "MirrorGAN":
        """Loads a preset: a small folder with everything that a trained model needs.

        Args:
            preset: the name of a preset of this package ("birdlets_64"), a folder that
                `save_to_preset` wrote, or what KerasHub takes: kaggle://… or hf://….

        Raises:
            ValueError: there is no such preset, or it is damaged.
        """
        from mirrorgan_tf.presets.files import open_preset

        check_path("preset", preset)
        with value_errors("preset", preset):
            return open_preset(preset)

    @classmethod
    def from_workdir(cls, path: str | Path, *, ema: bool = True) -> "MirrorGAN":
        """Loads the newest checkpoints of a training.

        Args:
            path: the training's `--workdir`.
            ema: load the averaged generator; False: the one as last trained.

        Raises:
            ValueError: there is no trained model in the folder, or it is damaged.
        """
        from mirrorgan_tf.workdir import open_workdir

        check_path("path", path)
        with value_errors("workdir", path):
            return open_workdir(path, ema=ema)

    @property
    def image_size(self) -> int:
        """Side in px of the images."""
        return self.glam.sizes[-1]

    def generate(
        self,
        captions: str | Sequence[str],
        *,
        seed: int | Sequence[int] | None = None,
        num_images: int | None = None,
        batch_size: int = 1,
    ) -> np.ndarray:
        """Generates images of the largest scale.

        Args:
            captions: one caption or N.
            seed: fixes the noise: an int for all captions, or one a caption, from -2^63
                to 2^63 - 1. None: another image at each call.
            num_images: images for each caption; the i-th has seed + i. None: one,
                without an axis of its own.
            batch_size: images that are generated at a time. Above 1 is faster on a
                GPU, but the last bit of a number may then depend on the other captions.

        Returns:
            uint8 images: (H, W, 3) for one caption, (N, H, W, 3) for N, 0 included.
            `num_images` adds an axis before H.

        Raises:
            TypeError: an argument is of another type.
            ValueError: an argument is out of its range, or the number of seeds is not
                that of the captions.
        """
        texts, is_single = check_captions(captions)
        seeds = check_seeds(seed, len(texts))
        repeats = 1 if num_images is None else num_images
        check_positive("num_images", repeats)
        images = self._in_batches(
            self._generate,
            [text for text in texts for _ in range(repeats)],
            [wrap_seed(start + i) for start in seeds for i in range(repeats)],
            batch_size,
        )
        if num_images is not None:
            images = images.reshape(len(texts), repeats, *images.shape[1:])
        return images[0] if is_single else images

    def describe(
        self,
        captions: str | Sequence[str],
        *,
        seed: int | Sequence[int] | None = None,
        batch_size: int = 1,
    ) -> dict[str, Any]:
        """Generates images and returns everything that is known about them.

        Args:
            captions: one caption or N.
            seed: see `generate`.
            batch_size: see `generate`.

        Returns:
            A dictionary. For a single caption nothing has the axis N:

            - `images`: a list with (N, s, s, 3) uint8 for each scale s, ascending;
            - `seeds`: N ints;
            - `words`: for each caption the list of words that the model used;
            - `unknown_words`: for each caption the words that it does not know;
            - `word_attention`: for each attending stage (N, h, w, L) float32, the
              share of each word at each position;
            - `sentence_attention`: likewise (N, h, w, channels);

            and, if the model has a STREAM,

            - `redescription`: N strings, what STREAM reads in the image;
            - `log_likelihood`: (N,) float32, of the caption given the image, by
              STREAM; the higher, the better they fit.

        Raises:
            TypeError, ValueError: see `generate`.
        """
        texts, is_single = check_captions(captions)
        seeds = check_seeds(seed, len(texts))
        outputs = self._in_batches(self._describe, texts, seeds, batch_size)
        words = self.tokenizer.get_vocabulary()
        ids, lengths = outputs.pop("ids"), outputs.pop("lengths")
        outputs["words"] = [
            [words[word_id] for word_id in row[:length]]
            for row, length in zip(ids, lengths, strict=True)
        ]
        known = self.tokenizer.vocabulary
        outputs["unknown_words"] = [unknown_words(text, known) for text in texts]
        outputs["seeds"] = seeds
        if self.stream is not None:
            outputs["redescription"] = self._texts(outputs.pop("redescription_ids"))
        return _first_rows(outputs) if is_single else outputs

    def embed(self, captions: str | Sequence[str]) -> dict[str, np.ndarray]:
        """Encodes captions.

        Args:
            captions: one caption or N.

        Returns:
            A dictionary with `words` (N, L, D) float32, 0 past a caption's end,
            `sentence` (N, D) float32 and `lengths` (N,) int32, the numbers of words.
            Without the axis N for a single caption.

        Raises:
            TypeError: captions are no strings.
        """
        texts, is_single = check_captions(captions)
        # Keras' LSTM fails for an empty batch: an empty caption gives the shapes.
        embedded = self._text_to_image.embed(tf.constant(texts or [b""], tf.string))
        outputs = {
            name: embedded[name].numpy()[: len(texts)]
            for name in ("words", "sentence", "lengths")
        }
        return _first_rows(outputs) if is_single else outputs

    def redescribe(self, images: np.ndarray) -> str | list[str]:
        """Describes images in words, by STREAM.

        Args:
            images: (S, S, 3) or (N, S, S, 3) uint8, S = `image_size`.

        Returns:
            One string, or N.

        Raises:
            TypeError: the images are not uint8.
            ValueError: they have another shape, or the model has no STREAM.
        """
        if self.stream is None:
            raise ValueError("this model has no STREAM, which describes images")
        try:
            images = np.asarray(images)
        except ValueError:
            raise ValueError("images: they have different shapes") from None
        if images.dtype != np.uint8:
            raise TypeError(f"images: dtype is {images.dtype}; expected uint8")
        side = self.image_size
        if images.ndim not in (3, 4) or images.shape[-3:] != (side, side, 3):
            raise ValueError(
                f"images: shape is {images.shape}; expected ({side}, {side}, 3) or "
                f"(N, {side}, {side}, 3)"
            )
        if images.ndim == 3:
            return self.redescribe(images[None])[0]
        if not len(images):
            return []
        return self._texts(self._redescribe(tf.constant(images)).numpy())

    def save_to_preset(self, path: str | Path, *, dtype: str = "float32") -> None:
        """Saves the model as a preset, which `from_preset` and KerasHub load.

        Args:
            path: the folder to write. A README.md in it stays as it is.
            dtype: of the weights in the file: "float32", or "float16" for half the
                size and images that differ by rounding.

        Raises:
            ValueError: the dtype is another, or the folder cannot be written.
        """
        from mirrorgan_tf.presets.files import save_preset

        check_path("path", path)
        if dtype not in ("float32", "float16"):
            raise ValueError(f"dtype={dtype!r}; expected 'float32' or 'float16'")
        with value_errors("out", path):
            save_preset(self, path, dtype)

    def export(
        self, path: str | Path, *, format: str = "saved_model", **options: Any
    ) -> Path:
        """Saves the model for serving or for phones and browsers.

        Args:
            path: "saved_model": the folder of all versions; the next free version is
                written. "litert": the folder to create.
            format: "saved_model" for TensorFlow Serving, or "litert".
            **options: see `serving.exporting.export_model` and
                `serving.litert.export_litert`.

        Returns:
            The folder that was written.

        Raises:
            ValueError: the folder cannot be written, or an option is out of its range.
        """
        from mirrorgan_tf.serving.exporting import export_model
        from mirrorgan_tf.serving.litert import export_litert

        check_path("path", path)
        exporters = {"saved_model": export_model, "litert": export_litert}
        if format not in exporters:
            raise ValueError(
                f"format={format!r}; expected one of {', '.join(exporters)}"
            )
        with value_errors("out", path):
            return exporters[format](self, Path(path), **options)

    def _image_graph(self, captions, seeds):
        return to_uint8(self._text_to_image.from_seeds(captions, seeds)["images"][-1])

    def _description_graph(self, captions, seeds):
        outputs = self._text_to_image.describe(captions, seeds)
        outputs["images"] = [to_uint8(images) for images in outputs["images"]]
        return {name: outputs[name] for name in _DESCRIBED if name in outputs}

    def _redescription_graph(self, images):
        return self._text_to_image.redescribe(to_float(images))

    def _texts(self, ids):
        return [text.decode() for text in self.tokenizer.detokenize(ids).numpy()]

    def _in_batches(self, graph, texts, seeds, batch_size):
        """Results of a few captions at a time, joined, as NumPy arrays."""
        check_positive("batch_size", batch_size)
        # Without captions, an empty one is used for the shapes of the results.
        rows = list(zip(texts or [b""], seeds or [0], strict=True))
        batches = []
        for first in range(0, len(rows), batch_size):
            batch = rows[first : first + batch_size]
            outputs = graph(
                tf.constant([text for text, _ in batch], tf.string),
                tf.constant([seed for _, seed in batch], tf.int64),
            )
            batches.append(tf.nest.map_structure(lambda x: x.numpy(), outputs))
        return tf.nest.map_structure(
            lambda *arrays: np.concatenate(arrays)[: len(texts)], *batches
        )


def _first_rows(outputs):
    """Results of the only caption, without the axis of captions."""
    nested = {"images", "word_attention", "sentence_attention"}
    return {
        ("seed" if name == "seeds" else name): (
            [array[0] for array in value] if name in nested else value[0]
        )
        for name, value in outputs.items()
    }
