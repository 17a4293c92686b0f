"""What can be said about captions and images of a set, as rows and as problems."""

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

_NAMED = 3
# Above this share captions are most likely not those that the vocabulary is of.
_MANY_UNKNOWN_WORDS = 0.2
_BAR = 40


@dataclasses.dataclass
class Findings:
    """Of one split, for people.

    Attributes:
        rows: what was measured, to what came out.
        errors: what stops a training.
        warnings: what does not.
    """

    rows: dict[str, str] = dataclasses.field(default_factory=dict)
    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


def caption_findings(
    index: CaptionedImages, vocabulary: Vocabulary, max_words: int
) -> tuple[Findings, np.ndarray]:
    """Numbers of images and captions; also the known words of each caption, (C,)."""
    found = Findings()
    captions = [caption for captions in index.captions for caption in captions]
    words, counts = split_all(captions)
    known = vocabulary.ids(words) > 0
    lengths = np.bincount(
        np.repeat(np.arange(len(captions)), counts)[known], minlength=len(captions)
    )
    classes = len(np.unique(index.class_ids))
    found.rows = {
        "images": f"{len(index):,}",
        "classes": f"{classes:,}" if classes < len(index) else "each image its own",
        "boxes": "none" if index.boxes is None else "yes",
        "captions": f"{len(captions):,}",
        "captions an image: min, median, max": _three(
            np.array([len(some) for some in index.captions])
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
        found.warnings.append(
            f"{unknown_share:.0%} of the captions' words are not in the vocabulary, "
            f"first {first_unknown!r}; a run keeps the words that it began with, or "
            "those of --captions_pickle: for other captions begin another --workdir"
        )
    wordless = [captions[row] for row in np.flatnonzero(lengths == 0)]
    if len(wordless) == len(captions):
        found.errors.append(
            "no caption has a known word; words are runs of ASCII letters and digits, "
            "of at least --min_word_count uses or from --captions_pickle"
        )
    else:
        _tell(found.warnings, "captions without a known word", map(repr, wordless))
    mixed = (
        repr(caption)
        for caption, length in zip(captions, lengths.tolist(), strict=True)
        if length and loses_letters(caption)
    )
    _tell(found.warnings, "captions that lose letters, which are not ASCII", mixed)
    repeated = (
        path
        for path, some in zip(index.paths, index.captions, strict=True)
        if len(set(some)) < len(some)
    )
    _tell(found.warnings, "images with the same caption twice", repeated)
    return found, lengths


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
        facts: on each of them.
        size_px: side of the largest image that training wants.
        images: of the split, decoded or not.
        on_bad_example: "fail", or "skip": then a few bad images are no error.
    """
    found = Findings()
    pairs = list(zip(paths, facts, strict=True))
    sides = np.array([min(fact.width, fact.height) for fact in facts if fact.width])
    kinds = Counter(fact.kind for fact in facts if fact.kind)
    found.rows = {
        "images decoded": f"{sum(not fact.problem for fact in facts):,}",
        "shorter side in px: min, median, max": _three(sides),
        "kinds": ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()),
        "turned by EXIF": f"{sum(fact.turned for fact in facts):,}",
    }
    bad = [f"{path}: {fact.problem}" for path, fact in pairs if fact.problem]
    stops = on_bad_example == "fail" or are_too_many(len(bad), images)
    _tell(
        found.errors if stops else found.warnings, "images that can't be decoded", bad
    )
    _tell(
        found.warnings,
        f"images to enlarge, smaller than {size_px} px",
        (
            f"{path}: {fact.width}×{fact.height}"
            for path, fact in pairs
            if 0 < min(fact.width, fact.height) < size_px
        ),
    )
    return found


def repeated_images(paths: Sequence[str], facts: Sequence[ImageFacts]) -> list[str]:
    """A warning where files of a split have the content of one before them."""
    first, repeats = {}, []
    for path, fact in zip(paths, facts, strict=True):
        if not fact.problem:
            before = first.setdefault((fact.checksum, fact.size), path)
            if before != path:
                repeats.append(f"{path} = {before}")
    warnings: list[str] = []
    _tell(warnings, "images that repeat another", repeats)
    return warnings


def length_histogram(words: np.ndarray, *, bins: int = 12) -> list[str]:
    """Lines of text: captions by their number of words."""
    width = -(-(int(words.max(initial=0)) + 1) // bins)
    counts = np.bincount(words // width)
    return [
        f"{place * width:>4}–{place * width + width - 1:<4}{count:>9,} "
        f"{'#' * round(_BAR * count / counts.max())}"
        for place, count in enumerate(counts.tolist())
    ]


def _three(values):
    if not len(values):
        return "–"
    return f"{values.min():.0f}, {np.median(values):.0f}, {values.max():.0f}"


def _tell(problems, what, things):
    things = list(things)
    if things:
        named = "; ".join(things[:_NAMED]) + ("; …" if len(things) > _NAMED else "")
        problems.append(f"{what}: {len(things):,} ({named})")
