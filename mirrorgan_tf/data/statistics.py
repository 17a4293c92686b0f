"""Figures and problems of the captions and images of a split."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.data.bad_examples import are_too_many
from mirrorgan_tf.data.inspection import ImageFacts
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.text.splitting import loses_letters, split_all
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = [
    "Findings",
    "caption_findings",
    "image_findings",
    "length_histogram",
    "repeated_images",
]

_EXAMPLES = 3
# Above this share the vocabulary is most likely that of other captions.
_MANY_UNKNOWN_WORDS = 0.2
_BAR = 40


@dataclasses.dataclass
class Findings:
    """Figures and problems of one split, for people.

    Attributes:
        rows: figures by their names.
        errors: problems that stop a training.
        warnings: other problems.
    """

    rows: dict[str, str] = dataclasses.field(default_factory=dict)
    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


def caption_findings(
    index: CaptionedImages, vocabulary: Vocabulary, max_words: int
) -> tuple[Findings, np.ndarray]:
    """Numbers of images and captions; also the known words of each caption, (C,)."""
    findings = Findings()
    captions = [caption for captions in index.captions for caption in captions]
    words, counts = split_all(captions)
    known = vocabulary.ids(words) > 0
    lengths = np.bincount(
        np.repeat(np.arange(len(captions)), counts)[known], minlength=len(captions)
    )
    classes = len(np.unique(index.class_ids))
    findings.rows = {
        "images": f"{len(index):,}",
        "classes": f"{classes:,}" if classes < len(index) else "each image its own",
        "boxes": "none" if index.boxes is None else "yes",
        "captions": f"{len(captions):,}",
        "captions an image: min, median, max": _min_median_max(
            np.array([len(texts) for texts in index.captions])
        ),
        "words in the vocabulary": f"{known.mean() if len(known) else 0:.1%}",
        "such words a caption: median, 90 %, 99 %, max": ", ".join(
            f"{value:.0f}" for value in np.percentile(lengths, (50, 90, 99, 100))
        ),
        f"captions of more than --max_words={max_words}": (
            f"{np.mean(lengths > max_words):.1%}"
        ),
    }
    unknown_share = 1 - known.mean() if len(known) else 0
    if unknown_share > _MANY_UNKNOWN_WORDS:
        first_unknown = words[int(np.argmin(known))]
        findings.warnings.append(
            f"{unknown_share:.0%} of the captions' words are not in the vocabulary, "
            f"first {first_unknown!r}; a run keeps the words that it began with, or "
            "those of --captions_pickle: for other captions choose another --workdir"
        )
    wordless = [captions[row] for row in np.flatnonzero(lengths == 0)]
    if len(wordless) == len(captions):
        findings.errors.append(
            "no caption has a known word; words are runs of ASCII letters and digits, "
            "of at least --min_word_count uses or from --captions_pickle"
        )
    else:
        findings.warnings += _problem(
            "captions without a known word", map(repr, wordless)
        )
    mixed = (
        repr(caption)
        for caption, length in zip(captions, lengths.tolist(), strict=True)
        if length and loses_letters(caption)
    )
    findings.warnings += _problem(
        "captions that lose letters, which are not ASCII", mixed
    )
    repeated = (
        path
        for path, texts in zip(index.paths, index.captions, strict=True)
        if len(set(texts)) < len(texts)
    )
    findings.warnings += _problem("images with the same caption twice", repeated)
    return findings, lengths


def image_findings(
    paths: Sequence[str],
    facts: Sequence[ImageFacts],
    size_px: int,
    *,
    images: int,
    on_bad_example: str,
) -> Findings:
    """Sizes, kinds and problems of decoded images.

    Args:
        paths: of the images that were decoded.
        facts: about each of them.
        size_px: side of the largest image that training uses.
        images: of the split, decoded or not.
        on_bad_example: "fail", or "skip": then a few bad images are no error.
    """
    findings = Findings()
    pairs = list(zip(paths, facts, strict=True))
    sides = np.array([min(fact.width, fact.height) for fact in facts if fact.width])
    kinds = Counter(fact.kind for fact in facts if fact.kind)
    findings.rows = {
        "images decoded": f"{sum(not fact.problem for fact in facts):,}",
        "shorter side in px: min, median, max": _min_median_max(sides),
        "kinds": ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()),
        "turned by EXIF": f"{sum(fact.turned for fact in facts):,}",
    }
    bad = [f"{path}: {fact.problem}" for path, fact in pairs if fact.problem]
    stops = on_bad_example == "fail" or are_too_many(len(bad), images)
    problems = findings.errors if stops else findings.warnings
    problems += _problem("images that can't be decoded", bad)
    findings.warnings += _problem(
        f"images to enlarge, smaller than {size_px} px",
        (
            f"{path}: {fact.width}×{fact.height}"
            for path, fact in pairs
            if 0 < min(fact.width, fact.height) < size_px
        ),
    )
    return findings


def repeated_images(paths: Sequence[str], facts: Sequence[ImageFacts]) -> list[str]:
    """A warning where files of a split have the content of one before them."""
    first, repeats = {}, []
    for path, fact in zip(paths, facts, strict=True):
        if not fact.problem:
            before = first.setdefault((fact.checksum, fact.size), path)
            if before != path:
                repeats.append(f"{path} = {before}")
    return _problem("images that repeat another", repeats)


def length_histogram(words: np.ndarray, *, bins: int = 12) -> list[str]:
    """Lines of text: captions by their number of words."""
    width = -(-(int(words.max(initial=0)) + 1) // bins)
    counts = np.bincount(words // width)
    return [
        f"{place * width:>4}–{place * width + width - 1:<4}{count:>9,} "
        f"{'#' * round(_BAR * count / counts.max())}"
        for place, count in enumerate(counts.tolist())
    ]


def _min_median_max(values):
    if not len(values):
        return "–"
    return f"{values.min():.0f}, {np.median(values):.0f}, {values.max():.0f}"


def _problem(kind, cases):
    """A line with the number of cases and the first few; none without a case."""
    cases = list(cases)
    if not cases:
        return []
    examples = "; ".join(cases[:_EXAMPLES]) + "; …" * (len(cases) > _EXAMPLES)
    return [f"{kind}: {len(cases):,} ({examples})"]
