"""What all readers of data sets share: names, files and captions."""

import functools
import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from mirrorgan_tf.data.records import CaptionedImages, Remark, remark_on
from mirrorgan_tf.downloads import describe_placeholder
from mirrorgan_tf.encoding import decode_lines
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = [
    "UNREADABLE_CHARACTERS",
    "check_files",
    "check_names",
    "clean_caption",
    "find_inside",
    "has_unreadable_characters",
    "image_suffixes",
    "index_captioned",
    "is_image_name",
    "nearby",
    "read_caption_files",
]

# A kind of `Remark`.
UNREADABLE_CHARACTERS = "captions with characters that can't be read (not UTF-8?)"

# Absolute paths, paths with a drive, with `..`, or empty names.
_UNSAFE = re.compile(r"\A\Z|\A[/\\]|\A[A-Za-z]:|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|\0")
_HALF = re.compile("[\ud800-\udfff]")
# Lone surrogates, and the replacement character of decoders.
_BROKEN = re.compile("[\ud800-\udfff\ufffd]+")
_UNREADABLE = re.compile("[\0\ud800-\udfff\ufffd]")
# How deep, and in how many folders of a level, a nested data set is searched for.
_DEEPEST_LEVEL, _MOST_FOLDERS = 3, 300
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


def clean_caption(text: str) -> str:
    """Makes one line: white space and undecodable characters become single spaces.

    The words of `split_words` stay the same; a caption without a letter or a digit
    becomes ''.
    """
    if not text.isascii():
        text = _BROKEN.sub(" ", text)
    text = " ".join(text.split())
    return text if _LETTER_OR_DIGIT.search(text) else ""


def has_unreadable_characters(text: str) -> bool:
    """Whether a caption holds U+FFFD, NUL or lone surrogates."""
    return bool(_UNREADABLE.search(text))


def read_caption_files(
    paths: Sequence[str | Path],
) -> tuple[list[list[str] | None], tuple[Remark, ...]]:
    """Reads the lines of text files, without blank ones.

    Returns:
        For each path its lines, None where there is no such file; and the lines with
        characters that can't be read, which become spaces.

    Raises:
        UserError: a file can't be read, or holds NUL characters.
    """
    captions, unreadable = [], []
    for path in paths:
        try:
            content = read_bytes(path)
            if reason := describe_placeholder(content):
                raise UserError(f"{path}: {reason}")
            lines, broken = decode_lines(content, path)
        except FileNotFoundError:
            captions.append(None)
            continue
        except OSError as error:
            raise UserError(f"{path}: the captions can't be read ({error})") from None
        captions.append([line for line in lines if line.strip()])
        unreadable += [f"{path}: line {number}" for number in broken]
    return captions, remark_on(UNREADABLE_CHARACTERS, unreadable)


def check_names(names: Sequence[str], source: str | Path) -> None:
    """Checks names of images, relative to a folder, that a file lists.

    Raises:
        UserError: a name leads out of the folder, is no UTF-8 or comes twice.
    """
    broken = next((name for name in names if _HALF.search(name)), None)
    if broken is not None:
        raise UserError(f"{source}: the image name {broken!r} is not UTF-8; rename it")
    unsafe = next((name for name in names if _UNSAFE.search(name)), None)
    if unsafe is not None:
        raise UserError(
            f"{source}: the image name {unsafe!r} leads out of the image folder; "
            "names must be relative, without '..'"
        )
    if len(set(names)) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise UserError(f"{source}: lists the image {name} {count} times")


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Endings of the formats that Pillow can read here, such as ".jpg"."""

    def is_readable(image_format):
        if image_format == "MPO":
            # A JPEG followed by more images; Pillow opens it as JPEG.
            return True
        if image_format not in Image.OPEN:
            return False
        opener, _ = Image.OPEN[image_format]
        # Pillow recognises a few formats without having a decoder for them.
        return not (
            isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)
        )

    by_suffix = Image.registered_extensions()
    return frozenset(suffix for suffix in by_suffix if is_readable(by_suffix[suffix]))


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image that Pillow reads, and is not hidden."""
    hidden = os.path.basename(name).startswith(".")
    return not hidden and os.path.splitext(name)[1].lower() in image_suffixes()


def check_files(
    names: Sequence[str], folder: str | Path, source: str | Path
) -> list[str]:
    """Checks that all files exist; lists each folder once, which is faster.

    Returns:
        The names of the other images in the same folders, sorted.

    Raises:
        UserError: the folder can't be read, or images that `source` lists are missing.
    """
    names_by_folder = defaultdict(list)
    for name in names:
        names_by_folder[os.path.dirname(name)].append(name)
    missing, unlisted = [], []
    for subfolder, inside in names_by_folder.items():
        try:
            with os.scandir(os.path.join(folder, subfolder)) as entries:
                # Not pipes and devices, which have no end.
                present = {
                    os.path.join(subfolder, entry.name)
                    for entry in entries
                    if entry.is_file()
                }
        except OSError as error:
            path = os.path.join(folder, subfolder)
            raise UserError(
                f"{path.rstrip(os.sep)}: the image folder can't be read "
                f"({error.strerror}), but {source} lists images there"
            ) from None
        missing += [name for name in inside if name not in present]
        unlisted += filter(is_image_name, present.difference(inside))
    if missing:
        raise UserError(
            f"{os.path.join(folder, missing[0])}: no such image, but {source} lists it"
            f" ({len(missing)} missing in all)"
        )
    return sorted(unlisted)


def index_captioned(
    paths: Sequence[str],
    captions: Sequence[Sequence[str]],
    *,
    image_ids: Sequence[int],
    source: str | Path,
    class_ids: Sequence[int] | None = None,
    boxes: np.ndarray | None = None,
    notes: Sequence[str] = (),
    earlier_remarks: Sequence[Remark] = (),
) -> CaptionedImages:
    """Cleans captions, leaves out empty ones and then images without any.

    `class_ids` None: each image is its own class.

    Raises:
        UserError: no image is left.
    """
    cleaned = [tuple(filter(None, map(clean_caption, texts))) for texts in captions]
    kept = [row for row, texts in enumerate(cleaned) if texts]
    if not kept:
        raise UserError(f"{source}: holds no image with a caption")
    empty = [
        f"of {path}"
        for path, texts, kept_texts in zip(paths, captions, cleaned, strict=True)
        for _ in range(len(texts) - len(kept_texts))
    ]
    without = [path for path, texts in zip(paths, cleaned, strict=True) if not texts]
    classes = np.arange(len(kept)) if class_ids is None else np.take(class_ids, kept)
    return CaptionedImages(
        paths=tuple(paths[row] for row in kept),
        captions=tuple(cleaned[row] for row in kept),
        class_ids=classes,
        image_ids=np.asarray(image_ids, np.int64)[kept],
        boxes=None if boxes is None else boxes[kept],
        notes=tuple(notes),
        remarks=(
            *earlier_remarks,
            *remark_on("empty captions, left out", empty),
            *remark_on("images without a caption, left out", without),
        ),
    )


def nearby(data_dir: Path, is_it: Callable[[Path], bool]) -> str:
    """Where a data set lies instead, for an error: further inside, or two levels up."""
    if not data_dir.is_dir():
        return ": no such folder"
    place = find_inside(data_dir, is_it)
    if place is None:
        parents = data_dir.absolute().parents[:2]
        place = next(filter(is_it, parents), None)
    return "" if place is None else f"; try {shlex.quote(f'--data_dir={place}')}"


def find_inside(data_dir: Path, is_it: Callable[[Path], bool]) -> Path | None:
    """The first subfolder for which `is_it` holds; checks a few hundred, by levels."""
    level = [data_dir]
    for _ in range(_DEEPEST_LEVEL):
        level = [path for folder in level for path in _subfolders(folder)][
            :_MOST_FOLDERS
        ]
        for path in level:
            if is_it(path):
                return path
    return None


def _subfolders(folder):
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in paths if path.name[0] != "." and path.is_dir()]
