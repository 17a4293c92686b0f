"""A picture of sample images: random ones, the best and the worst by a score."""

import numpy as np

from mirrorgan_tf.evaluation.image_folder import ImageFolder
from mirrorgan_tf.evaluation.metric import MetricInputs
from mirrorgan_tf.pictures import caption_grid, stack_sheets

__all__ = ["contact_sheet"]

_RANDOM, _EXTREME = 16, 8


def contact_sheet(inputs: MetricInputs, images: ImageFolder) -> tuple[np.ndarray, dict]:
    """Draws a sheet of images; each has its caption and the reason of its choice.

    The score is STREAM's mean negative log-likelihood of a word of the caption or,
    without STREAM, the cosine of DAMSM's codes; without either there are random samples
    only.

    Args:
        inputs: what the metrics are computed from.
        images: the generated images.

    Returns:
        (H, W, 3) uint8, and a dictionary: `score`, the title of the score (None
        without one); `random`, `best` and `worst`, the rows of the images; `captions`,
        row -> caption.
    """
    captions = inputs.sample.captions
    count = len(captions)
    random = np.random.default_rng(inputs.seed).permutation(count)[:_RANDOM]
    chosen = {"random": random.tolist()}
    title, scores, order = _scores(inputs)
    if title:
        chosen["best"] = order[:_EXTREME].tolist()
        chosen["worst"] = order[::-1][:_EXTREME].tolist()
    sheets = []
    for kind, rows in chosen.items():
        labels = [
            f"[{kind}{'' if kind == 'random' else f' {rank} of {count}'}] "
            f"{captions[row]}{_redescription(inputs, row)}"
            + (f"\n[{title} {scores[row]:.2f}]" if title else "")
            for rank, row in enumerate(rows, 1)
        ]
        cells = list(images.read(rows))
        sheets.append(caption_grid(cells, labels, columns=8, image_px=128))
    shown = {str(row): captions[row] for rows in chosen.values() for row in rows}
    return stack_sheets(sheets), {"score": title, "captions": shown} | chosen


def _scores(inputs):
    """Title, (N,) scores and rows, best first; None three times without a network."""
    captions, features = inputs.sample.captions, inputs.features["generated"]
    if "stream" in inputs.extractors:
        stream = inputs.extractors["stream"]
        logs, words = stream.likelihood(features["stream"]["feature"], captions)
        nats = -logs / np.maximum(words, 1)
        return "STREAM's nats a word", nats, np.argsort(nats, kind="stable")
    if "damsm" in inputs.extractors:
        code, sentence = (
            x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
            for x in (
                features["damsm"]["code"],
                inputs.extractors["damsm"].embed(captions),
            )
        )
        cosines = np.sum(code * sentence, axis=1)
        return "DAMSM's cosine", cosines, np.argsort(-cosines, kind="stable")
    return None, None, None


def _redescription(inputs, row):
    if "stream" not in inputs.extractors:
        return ""
    ids = inputs.features["generated"]["stream"]["redescription"][row : row + 1]
    return f"\nSTREAM: {inputs.extractors['stream'].texts(ids)[0]}"
