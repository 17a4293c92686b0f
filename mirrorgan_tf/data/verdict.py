"""Decides whether a training can use a data set.

`check` prints the verdict; `prepare` and `train` log it and stop if it has errors.
"""

import dataclasses

from absl import logging

from mirrorgan_tf.data.boxes import boxes_outside
from mirrorgan_tf.data.leaks import shared_images
from mirrorgan_tf.data.records import CaptionedImages, Remark
from mirrorgan_tf.data.statistics import Findings, caption_findings
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["Verdict", "announce", "examine"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is known about a data set before its images are decoded.

    Attributes:
        notes: choices of the reader.
        remarks: what was left out, and problems of the files and boxes.
        errors: why a training can't begin.
        warnings: the remarks, and problems of the captions.
        captions: findings on the captions of each split.
    """

    notes: tuple[str, ...]
    remarks: tuple[Remark, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    captions: tuple[Findings, ...]


def examine(
    splits: dict[str, CaptionedImages], vocabulary: Vocabulary, max_words: int
) -> Verdict:
    """Checks a data set's index, captions and files; decodes no image.

    Args:
        splits: "train" and "val", from `open_dataset`.
        vocabulary: the words that training knows.
        max_words: the most words of a caption that training uses.
    """
    # Dictionaries drop what both splits have, and keep the order.
    notes = dict.fromkeys(note for index in splits.values() for note in index.notes)
    remarks = dict.fromkeys(
        remark
        for index in splits.values()
        for remark in (*index.remarks, *boxes_outside(index))
    )
    remarks |= dict.fromkeys(shared_images(splits["train"], splits["val"]))
    captions = tuple(
        caption_findings(split, index, vocabulary, max_words)
        for split, index in splits.items()
    )
    return Verdict(
        notes=tuple(notes),
        remarks=tuple(remarks),
        errors=tuple(text for findings in captions for text in findings.errors),
        warnings=(
            *map(str, remarks),
            *(text for findings in captions for text in findings.warnings),
        ),
        captions=captions,
    )


def announce(verdict: Verdict) -> None:
    """Logs notes and warnings.

    Raises:
        UserError: the verdict has errors.
    """
    for note in verdict.notes:
        logging.info("%s", note)
    for warning in verdict.warnings:
        logging.warning("%s", warning)
    if verdict.errors:
        raise UserError(verdict.errors[0])
