"""Figures and problems of the captions and images of a split."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from mirrorgan_tf.data.bad_examples import are_too_many
from mirrorgan_tf.data.inspection import ImageFacts
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.text.splitting import loses_letters, split_all
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["Findings", "caption_findings", "image_findings"]

_CASES_SHOWN = 3
# With a larger share of unknown words, the vocabulary is most likely that of another
# data set.
_MANY_UNKNOWN_WORDS = 0.2


@dataclasses.dataclass
class Findings:
    """Figures and problems of one split.

    Attributes:
        split: "train" or "val".
        figures: value by name, as text.
        errors: problems that stop a training.
        warnings: other problems.
    """

    split: str
    figures: dict[str, str] = dataclasses.field(default_factory=dict)
    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def report(
        self, problem: str, cases: Iterable[str], *, is_error: bool = False
    ) -> None:
        """Adds a problem with the number of its cases and the first few, if any."""
        cases = list(cases)
        if cases:
            shown = "; ".join(cases[:_CASES_SHOWN])
            more = "; …" if len(cases) > _CASES_SHOWN else ""
            problems = self.errors if is_error else self.warnings
            problems.append(f"{self.split}: {problem}: {len(cases):,} ({shown}{more})")


def caption_findings(
    split: str, index: CaptionedImages, vocabulary: Vocabulary, max_words: int
) -> Findings:
    """Checks the captions of a split.

    Args:
        split: "train" or "val".
        index: the split.
        vocabulary: the words that training knows.
        max_words: the most words of a caption that training uses.
    """
    findings = Findings(split)
    captions = [caption for captions in index.captions for caption in captions]
    words, counts = split_all(captions)
    known = vocabulary.ids(words) > 0
    lengths = np.bincount(
        np.repeat(np.arange(len(captions)), counts)[known], minlength=len(captions)
    )
    known_share = known.mean() if len(known) else 0
    classes = len(np.unique(index.class_ids))
    findings.figures = {
        "images": f"{len(index):,}",
        "classes": f"{classes:,}" if classes < len(index) else "each image its own",
        "boxes": "none" if index.boxes is None else "yes",
        "captions": f"{len(captions):,}",
        "captions an image: min, median, max": _min_median_max(
            np.array([len(texts) for texts in index.captions])
        ),
        "words in the vocabulary": f"{known_share:.1%}",
        "such words a caption: median, 90 %, 99 %, max": ", ".join(
            f"{value:.0f}" for value in np.percentile(lengths, (50, 90, 99, 100))
        ),
        f"captions of more than --max_words={max_words}": (
            f"{np.mean(lengths > max_words):.1%}"
        ),
    }
    if len(known) and 1 - known_share > _MANY_UNKNOWN_WORDS:
        first_unknown = words[int(np.argmin(known))]
        findings.warnings.append(
            f"{split}: {1 - known_share:.0%} of the captions' words are not in the "
            f"vocabulary, first {first_unknown!r}; a run keeps the words that it began "
            "with, or those of --captions_pickle: for other captions choose another "
            "--workdir"
        )
    without_words = [captions[row] for row in np.flatnonzero(lengths == 0)]
    if len(without_words) == len(captions):
        findings.errors.append(
            f"{split}: no caption has a known word; words are runs of ASCII letters "
            "and digits, of at least --min_word_count uses or from --captions_pickle"
        )
    else:
        findings.report("captions without a known word", map(repr, without_words))
    findings.report(
        "captions that lose letters, which are not ASCII",
        (
            repr(caption)
            for caption, length in zip(captions, lengths.tolist(), strict=True)
            if length and loses_letters(caption)
        ),
    )
    return findings


def image_findings(
    split: str,
    paths: Sequence[str],
    facts: Sequence[ImageFacts],
    size_px: int,
    *,
    images: int,
    on_bad_example: str,
) -> Findings:
    """Checks the decoded images of a split.

    Args:
        split: "train" or "val".
        paths: the images that were decoded.
        facts: of each of them.
        size_px: side of the largest image that training uses.
        images: number of images of the split, decoded or not.
        on_bad_example: "fail", or "skip": then a few bad images are only a warning.
    """
    findings = Findings(split)
    pairs = list(zip(paths, facts, strict=True))
    sides = np.array([min(fact.width, fact.height) for fact in facts if fact.width])
    kinds = Counter(fact.kind for fact in facts if fact.kind)
    findings.figures = {
        "images decoded": f"{sum(not fact.problem for fact in facts):,}",
        "shorter side in px: min, median, max": _min_median_max(sides),
        "kinds": ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()),
    }
    bad = [f"{path}: {fact.problem}" for path, fact in pairs if fact.problem]
    stops = on_bad_example == "fail" or are_too_many(len(bad), images)
    findings.report("images that can't be decoded", bad, is_error=stops)
    findings.report(
        f"images to enlarge, smaller than {size_px} px",
        (
            f"{path}: {fact.width}×{fact.height}"
            for path, fact in pairs
            if 0 < min(fact.width, fact.height) < size_px
        ),
    )
    first_paths, repeated = {}, []
    for path, fact in pairs:
        first_path = first_paths.setdefault((fact.checksum, fact.size), path)
        if first_path != path and not fact.problem:
            repeated.append(f"{path} = {first_path}")
    findings.report("images that repeat another", repeated)
    return findings


def _min_median_max(values):
    if not len(values):
        return "–"
    return f"{values.min():.0f}, {np.median(values):.0f}, {values.max():.0f}"
