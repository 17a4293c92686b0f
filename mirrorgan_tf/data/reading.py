"""What every reader does with names, files and captions."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.records import CaptionedImages

__all__ = [
    "check_files",
    "check_names",
    "clean_caption",
    "index_captioned",
    "nearby",
    "read_caption_file",
]

# Absolute, on a drive, upwards, or no name at all.
_UNSAFE = re.compile(r"\A\Z|\A[/\\]|\A[A-Za-z]:|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|\0")
_HALF = re.compile("[\ud800-\udfff]")
# Half a character, or what stands where a decoder gave up.
_BROKEN = re.compile("[\ud800-\udfff\ufffd]+")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


def clean_caption(text: str) -> str:
    """One line: runs of white space and broken characters become a space.

    The words of `split_words` stay the same; a caption without a letter or a digit
    becomes ''.
    """
    if not text.isascii():
        text = _BROKEN.sub(" ", text)
    text = " ".join(text.split())
    return text if _LETTER_OR_DIGIT.search(text) else ""


def read_caption_file(path: str | Path) -> list[str]:
    """The lines of a text file, blank ones left out; bytes that aren't UTF-8 too.

    Raises:
        FileNotFoundError: there is none; readers tell of all that are missing.
        UserError: it can't be read.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return [line for line in file.read().splitlines() if line.strip()]
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: the captions can't be read ({error})") from None


def check_names(names: Sequence[str], source: str | Path) -> None:
    """Image files' names, relative to a folder, that a file lists.

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


def check_files(names: Sequence[str], folder: str | Path, source: str | Path) -> None:
    """Every name is there: one listing a folder, not a look at each file.

    Raises:
        UserError: the folder can't be read, or images that `source` lists are missing.
    """
    wanted = defaultdict(list)
    for name in names:
        wanted[os.path.dirname(name)].append(name)
    missing = []
    for subfolder, inside in wanted.items():
        try:
            with os.scandir(os.path.join(folder, subfolder)) as entries:
                present = {os.path.join(subfolder, entry.name) for entry in entries}
        except OSError as error:
            path = os.path.join(folder, subfolder)
            raise UserError(
                f"{path.rstrip(os.sep)}: the image folder can't be read "
                f"({error.strerror}), but {source} lists images there"
            ) from None
        missing += [name for name in inside if name not in present]
    if missing:
        raise UserError(
            f"{os.path.join(folder, missing[0])}: no such image, but {source} lists it"
            f" ({len(missing)} missing in all)"
        )


def index_captioned(
    paths: Sequence[str],
    captions: Sequence[Sequence[str]],
    *,
    image_ids: Sequence[int],
    source: str | Path,
    class_ids: Sequence[int] | None = None,
    boxes: np.ndarray | None = None,
    notes: Sequence[str] = (),
) -> CaptionedImages:
    """Cleans captions, leaves out empty ones and then images without any.

    `class_ids` None: each image is its own class. What is left out is noted.

    Raises:
        UserError: no image is left.
    """
    cleaned = [tuple(filter(None, map(clean_caption, some))) for some in captions]
    kept = [row for row, some in enumerate(cleaned) if some]
    if not kept:
        raise UserError(f"{source}: holds no image with a caption")
    empty = sum(map(len, captions)) - sum(map(len, cleaned))
    notes = list(notes)
    if empty:
        notes.append(f"{source}: empty captions left out: {empty:,}")
    if len(kept) < len(paths):
        first = next(row for row, some in enumerate(cleaned) if not some)
        notes.append(
            f"{source}: images without a caption left out: "
            f"{len(paths) - len(kept):,}, first {paths[first]}"
        )
    classes = np.arange(len(kept)) if class_ids is None else np.take(class_ids, kept)
    return CaptionedImages(
        paths=tuple(paths[row] for row in kept),
        captions=tuple(cleaned[row] for row in kept),
        class_ids=classes,
        image_ids=np.asarray(image_ids, np.int64)[kept],
        boxes=None if boxes is None else boxes[kept],
        notes=tuple(notes),
    )


def nearby(data_dir: Path, is_it: Callable[[Path], bool]) -> str:
    """Where else a data set may lie, for an error's text: a level up or down."""
    try:
        below = sorted(path for path in data_dir.iterdir() if path.is_dir())
    except OSError:
        return ": no such folder"
    for path in (*below, data_dir.absolute().parent):
        if is_it(path):
            return f"; try --data_dir={path}"
    return ""
