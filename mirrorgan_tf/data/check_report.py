"""What `mirrorgan check` prints about a data set, and its picture of examples."""

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from mirrorgan_tf.config import Config
from mirrorgan_tf.data.decoding import BadImageError, load_image
from mirrorgan_tf.data.inspection import inspect_images
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.sources import choose_vocabulary
from mirrorgan_tf.data.statistics import (
    Findings,
    image_findings,
    length_histogram,
    repeated_images,
)
from mirrorgan_tf.data.verdict import examine, split_problems
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
        config: its vocabulary, `max_words` and sizes are used.
        decode: images to decode of each split, evenly spread; None is all.

    Returns:
        A report, and whether a training would stop.

    Raises:
        UserError: --captions_pickle can't be used.
    """
    vocabulary = choose_vocabulary(config, splits)
    verdict = examine(splits, vocabulary, config.text.max_words)
    images = {}
    for split, index in splits.items():
        rows = _spread(len(index), decode)
        paths = [index.paths[row] for row in rows]
        with Progress(f"decoding, {split}", len(rows)) as progress:
            facts = inspect_images(index, rows, progress.update)
        images[split] = image_findings(
            paths,
            facts,
            config.sizes[-1],
            images=len(index),
            on_bad_example=config.data.on_bad_example,
        )
        images[split].warnings += repeated_images(paths, facts)
    errors = [*verdict.errors, *split_problems("errors", images)]
    warnings = [*verdict.warnings, *split_problems("warnings", images)]
    problems = [f"error: {text}" for text in errors]
    problems += [f"warning: {text}" for text in warnings]
    lines = [
        *verdict.notes,
        "",
        *_table(verdict.captions, images),
        "",
        f"vocabulary: {len(vocabulary):,} words",
        "",
        "words a caption, train and val",
        *length_histogram(verdict.caption_lengths),
        "",
        *(problems or ["no problems"]),
    ]
    return "\n".join(map(one_line, lines)), bool(errors)


def show_samples(index: CaptionedImages, count: int = _SAMPLES) -> np.ndarray | None:
    """Images spread over a split, with their captions and outlines of their boxes.

    Returns:
        (H, W, 3) uint8, without the images that are bad; None if all are.
    """
    pictures, texts = [], []
    for row in _spread(len(index), count):
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


def _spread(length, count):
    """`count` of `length` rows, evenly spread; None: all."""
    count = length if count is None else min(count, length)
    return np.linspace(0, length - 1, count).astype(int).tolist()


def _table(*groups: dict[str, Findings]) -> list[str]:
    rows = [["", *groups[0]]]
    for by_split in groups:
        for name in next(iter(by_split.values())).rows:
            rows.append(
                [name, *(findings.rows[name] for findings in by_split.values())]
            )
    rows.insert(1, ["---"] * len(rows[0]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    ]
