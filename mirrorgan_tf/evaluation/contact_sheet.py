"""Samples for a person to look at: random ones, the best and the worst by a score."""

import numpy as np

from mirrorgan_tf.evaluation.measures import Seen
from mirrorgan_tf.evaluation.rendering import ImageFolder
from mirrorgan_tf.pictures import caption_grid, stack_sheets

__all__ = ["contact_sheet"]

_RANDOM, _EXTREME = 16, 8


def contact_sheet(seen: Seen, images: ImageFolder) -> tuple[np.ndarray, dict]:
    """Draws the sheet; each cell says why it is there.

    The score is the mean surprise of STREAM at a word of the caption or, without
    STREAM, the cosine of DAMSM's codes; without either there are random samples only.

    Args:
        seen: what the judges saw.
        images: the generated ones.

    Returns:
        (H, W, 3) uint8, and rows shown: `score` (None: there is none), `random`,
        `best`, `worst`; `captions`, of all of them by row.
    """
    count = len(seen.sample)
    random = np.random.default_rng(seen.seed).permutation(count)[:_RANDOM]
    chosen = {"random": random.tolist()}
    title, scores, order = _scores(seen)
    if title:
        chosen["best"] = order[:_EXTREME].tolist()
        chosen["worst"] = order[::-1][:_EXTREME].tolist()
    sheets = []
    for kind, rows in chosen.items():
        labels = [
            f"[{kind}{'' if kind == 'random' else f' {place} of {count}'}] "
            f"{seen.sample.captions[row]}{_told(seen, row)}"
            + (f"\n[{title} {scores[row]:.2f}]" if title else "")
            for place, row in enumerate(rows, 1)
        ]
        cells = list(images.read(rows))
        sheets.append(caption_grid(cells, labels, columns=8, image_px=128))
    captions = {
        str(row): seen.sample.captions[row] for rows in chosen.values() for row in rows
    }
    return stack_sheets(sheets), {"score": title, "captions": captions} | chosen


def _scores(seen):
    """Name, (N,) scores and rows from the best on; None three times without a judge."""
    captions = seen.sample.captions
    if "stream" in seen.judges:
        features = seen.generated["stream"]["feature"]
        logs, words = seen.judges["stream"].likelihood(features, captions)
        nats = -logs / np.maximum(words, 1)
        return "STREAM's nats a word", nats, np.argsort(nats, kind="stable")
    if "damsm" in seen.judges:
        code, sentence = (
            x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
            for x in (
                seen.generated["damsm"]["code"],
                seen.judges["damsm"].embed(captions),
            )
        )
        cosines = np.sum(code * sentence, axis=1)
        return "DAMSM's cosine", cosines, np.argsort(-cosines, kind="stable")
    return None, None, None


def _told(seen, row):
    """What STREAM reads back."""
    if "stream" not in seen.judges:
        return ""
    said = seen.generated["stream"]["said"][row : row + 1]
    return f"\nreads: {seen.judges['stream'].texts(said)[0]}"
