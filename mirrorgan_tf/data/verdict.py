"""Whether a data set is fit to train on: the one place that decides it.

`check` prints a verdict, `prepare` and `train` log it and stop at its errors.
"""

import dataclasses

import numpy as np
from absl import logging

from mirrorgan_tf.data.boxes import boxes_outside
from mirrorgan_tf.data.leaks import shared_images
from mirrorgan_tf.data.records import CaptionedImages, Remark
from mirrorgan_tf.data.statistics import Findings, caption_findings
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["Verdict", "announce", "examine", "split_problems"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is known about a data set before its images are decoded.

    Attributes:
        notes: what the readers chose.
        remarks: what was left out, and what is odd about the images' files.
        errors: why a training can't begin.
        warnings: the remarks, and what is odd about the captions.
        captions: findings on the captions of each split.
        caption_lengths: (C,) known words of every caption of both splits.
    """

    notes: tuple[str, ...]
    remarks: tuple[Remark, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    captions: dict[str, Findings]
    caption_lengths: np.ndarray


def examine(
    splits: dict[str, CaptionedImages], vocabulary: Vocabulary, max_words: int
) -> Verdict:
    """Checks a data set's index, captions and files; decodes no image.

    Args:
        splits: "train" and "val", as `open_dataset` gives them.
        vocabulary: the words that training knows.
        max_words: words of a caption that training uses.
    """
    notes = dict.fromkeys(note for index in splits.values() for note in index.notes)
    remarks = dict.fromkeys(
        remark
        for index in splits.values()
        for remark in (*index.remarks, *boxes_outside(index))
    )
    remarks |= dict.fromkeys(shared_images(splits["train"], splits["val"]))
    captions, lengths = {}, []
    for split, index in splits.items():
        captions[split], split_lengths = caption_findings(index, vocabulary, max_words)
        lengths.append(split_lengths)
    return Verdict(
        notes=tuple(notes),
        remarks=tuple(remarks),
        errors=tuple(split_problems("errors", captions)),
        warnings=(*map(str, remarks), *split_problems("warnings", captions)),
        captions=captions,
        caption_lengths=np.concatenate(lengths),
    )


def split_problems(kind: str, findings: dict[str, Findings]) -> list[str]:
    """The "errors" or "warnings" of every split, with the split's name before each."""
    return [
        f"{split}: {text}"
        for split, of_split in findings.items()
        for text in getattr(of_split, kind)
    ]


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
