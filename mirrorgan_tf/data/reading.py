"""Helpers for readers of data sets: file names, missing files, captions."""

import functools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
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
    "has_unreadable_characters",
    "image_suffixes",
    "index_captioned",
    "is_image_name",
    "read_caption_files",
]

# A kind of `Remark`.
UNREADABLE_CHARACTERS = "captions with characters that can't be read (not UTF-8?)"

# Absolute paths, paths with a drive, with `..`, or empty names.
_UNSAFE = re.compile(r"\A\Z|\A[/\\]|\A[A-Za-z]:|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|\0")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Decoders put U+FFFD in the place of bytes that they can't decode.
_UNDECODED = re.compile("[\ud800-\udfff\ufffd]+")
_UNREADABLE = re.compile("[\0\ud800-\udfff\ufffd]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


def clean_caption(text: str) -> str:
    """Replaces white space and undecodable characters by single spaces.

    `split_words` gives the same words before and after. A caption without a letter or a
    digit becomes ''.
    """
    text = " ".join(_UNDECODED.sub(" ", text).split())
    return text if _LETTER_OR_DIGIT.search(text) else ""


def has_unreadable_characters(text: str) -> bool:
    """Whether a caption contains U+FFFD, NUL or lone surrogates."""
    return bool(_UNREADABLE.search(text))


def read_caption_files(
    paths: Sequence[str | Path],
) -> tuple[list[list[str] | None], tuple[Remark, ...]]:
    """Reads the lines of text files, except blank ones.

    Returns:
        For each path its lines, or None if there is no such file; and a remark on lines
        with undecodable bytes, which are U+FFFD in the result.

    Raises:
        UserError: a file can't be read, or contains NUL characters.
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
    """Checks names of images, which are relative to a folder.

    Args:
        names: the names.
        source: the file or folder that lists them, for errors.

    Raises:
        UserError: a name leads out of the folder, is not UTF-8 or is listed twice.
    """
    not_utf8 = next(filter(_LONE_SURROGATE.search, names), None)
    if not_utf8 is not None:
        raise UserError(
            f"{source}: the image name {not_utf8!r} is not UTF-8; rename it"
        )
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
    """Suffixes of the formats that the installed Pillow can read, such as ".jpg"."""

    def is_readable(image_format):
        # Pillow opens MPO, a JPEG followed by more images, as a JPEG.
        if image_format == "MPO":
            return True
        opener, _ = Image.OPEN.get(image_format, (None, None))
        # Pillow recognises a few formats for which it has no decoder.
        is_stub = isinstance(opener, type) and issubclass(
            opener, ImageFile.StubImageFile
        )
        return opener is not None and not is_stub

    by_suffix = Image.registered_extensions()
    return frozenset(suffix for suffix in by_suffix if is_readable(by_suffix[suffix]))


def is_image_name(name: str) -> bool:
    """Whether a file has a suffix that Pillow reads, and is not hidden."""
    hidden = os.path.basename(name).startswith(".")
    return not hidden and os.path.splitext(name)[1].lower() in image_suffixes()


def check_files(
    names: Sequence[str], folder: str | Path, source: str | Path
) -> list[str]:
    """Checks that all images exist.

    Args:
        names: the images, relative to `folder`.
        folder: the folder of images.
        source: the file that lists them, for errors.

    Returns:
        The names of the other images in the same folders, sorted.

    Raises:
        UserError: a folder can't be read, or images are missing.
    """
    # Listing each folder once is faster than a system call for each file.
    names_by_folder = defaultdict(list)
    for name in names:
        names_by_folder[os.path.dirname(name)].append(name)
    missing, unlisted = [], []
    for subfolder, inside in names_by_folder.items():
        try:
            with os.scandir(os.path.join(folder, subfolder)) as entries:
                # Pipes and devices are no files.
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
    """Makes an index of the images that have a caption.

    Captions are cleaned by `clean_caption`, and empty ones are left out.

    Args:
        paths: N image files.
        captions: for each image its captions.
        image_ids: for each image its number in the data set.
        source: the file or folder that lists the images, for errors.
        class_ids: for each image its class; None if each image is its own class.
        boxes: (N, 4), see `CaptionedImages`.
        notes: see `CaptionedImages`.
        earlier_remarks: remarks before those on captions and images left out here.

    Raises:
        UserError: no image has a caption.
    """
    cleaned = [tuple(filter(None, map(clean_caption, texts))) for texts in captions]
    kept = [row for row, texts in enumerate(cleaned) if texts]
    if not kept:
        raise UserError(f"{source}: no image has a caption")
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
