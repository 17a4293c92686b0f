"""The report and the picture of examples of `mirrorgan check`."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from mirrorgan_tf.config import Config
from mirrorgan_tf.data.decoding import BadImageError, load_image
from mirrorgan_tf.data.inspection import inspect_images
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.sources import choose_vocabulary
from mirrorgan_tf.data.statistics import Findings, image_findings
from mirrorgan_tf.data.verdict import examine
from mirrorgan_tf.pictures import caption_grid
from mirrorgan_tf.progress import Progress
from mirrorgan_tf.terminal import one_line

__all__ = ["check", "show_samples"]

_SAMPLES = 12
_CAPTIONS_SHOWN = 2
_LARGEST_SAMPLE_PX = 1024


def check(
    splits: dict[str, CaptionedImages], config: Config, *, decode: int | None = None
) -> tuple[str, bool]:
    """Checks captions and files, and decodes images.

    Args:
        splits: "train" and "val".
        config: settings of the training.
        decode: number of images to decode of each split, evenly spaced; None: all.

    Returns:
        A report, and whether a training would stop.

    Raises:
        UserError: --captions_pickle can't be used.
    """
    vocabulary = choose_vocabulary(config, splits)
    verdict = examine(splits, vocabulary, config.text.max_words)
    images = []
    for split, index in splits.items():
        rows = _evenly_spaced(len(index), decode)
        with Progress(f"decoding, {split}", len(rows)) as progress:
            facts = inspect_images(index, rows, progress.update)
        findings = image_findings(
            split,
            [index.paths[row] for row in rows],
            facts,
            config.sizes[-1],
            images=len(index),
            on_bad_example=config.data.on_bad_example,
        )
        images.append(findings)
    errors = [*verdict.errors, *(text for f in images for text in f.errors)]
    warnings = [*verdict.warnings, *(text for f in images for text in f.warnings)]
    problems = [f"error: {text}" for text in errors]
    problems += [f"warning: {text}" for text in warnings]
    lines = [
        *verdict.notes,
        "",
        *_table(verdict.captions, images),
        "",
        f"vocabulary: {len(vocabulary):,} words",
        "",
        *(problems or ["no problems"]),
    ]
    return "\n".join(map(one_line, lines)), bool(errors)


def show_samples(index: CaptionedImages, count: int = _SAMPLES) -> np.ndarray | None:
    """Evenly spaced images of a split with their captions and outlines of their boxes.

    Returns:
        (H, W, 3) uint8, without images that can't be decoded; None if none can.
    """
    pictures, texts = [], []
    for row in _evenly_spaced(len(index), count):
        try:
            image = Image.fromarray(load_image(index, row))
        except BadImageError:
            continue
        if index.boxes is not None:
            left, top, width, height = index.boxes[row].tolist()
            ImageDraw.Draw(image).rectangle(
                (left, top, left + width, top + height), outline="red", width=2
            )
        image.thumbnail((_LARGEST_SAMPLE_PX, _LARGEST_SAMPLE_PX))
        side = max(image.size)
        pictures.append(np.asarray(ImageOps.pad(image, (side, side), color="white")))
        texts.append("\n".join(index.captions[row][:_CAPTIONS_SHOWN]))
    return caption_grid(pictures, texts) if pictures else None


def _evenly_spaced(length, count):
    """`count` of `length` rows; all if `count` is None."""
    count = length if count is None else min(count, length)
    return np.linspace(0, length - 1, count).astype(int).tolist()


def _table(*groups: Sequence[Findings]) -> list[str]:
    """A table in Markdown; each group has the same figures of every split."""
    header = ["", *(findings.split for findings in groups[0])]
    rows = [header, ["---"] * len(header)]
    for group in groups:
        for name in group[0].figures:
            rows.append([name, *(findings.figures[name] for findings in group)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    ]
