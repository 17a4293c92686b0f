"""Recognises folders named as splits, such as train, Validation and my_test."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["declared_splits"]

_SUFFIXES = ("", "s", "set", "sets", "data", "image", "images", "img", "imgs")


def _with_suffixes(*words):
    return frozenset(f"{word}{suffix}" for word in words for suffix in _SUFFIXES)


_SPLIT_WORDS = {
    "train": _with_suffixes("train", "training", "trn", "trainval"),
    "val": _with_suffixes("val", "valid", "validation", "dev", "eval", "evaluation"),
    "test": _with_suffixes("test", "testing", "tst", "holdout", "heldout"),
}
# Words that do not distinguish data sets.
_NEUTRAL_WORDS = frozenset(
    {*_SUFFIXES, "split", "splits", "photos", "pictures", "pics"}
)
_WORD = re.compile("[a-z]+")
_MOST_LISTED = 3


def declared_splits(names: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """Splits images by the names of their folders, at any depth.

    A folder is a split if its name contains a word such as train or Training, also
    beside other words, digits and signs: my-train, train2017. Folders are splits of the
    same data set if their other words are the same: `birds_train` and `birds_val`, but
    not `train station` and `test tube`. If there is no folder for validation, one for
    testing is used.

    Args:
        names: image files, relative to the data set's folder.

    Returns:
        The names by split, "train" and "val", or an empty dictionary if there are no
        such folders; and a note that names the folders.
    """
    split_folders = {name: folder for name in names if (folder := _find_split(name))}
    sets = {
        split: {f.set_words for f in split_folders.values() if f.split == split}
        for split in _SPLIT_WORDS
    }
    val = next(
        (split for split in ("val", "test") if sets["train"] & sets[split]), None
    )
    if val is None:
        note = (
            "named as a split, but not used without its other half: "
            f"{_list_folders(split_folders)}"
        )
        return {}, note * bool(split_folders)
    common = sets["train"] & sets[val]
    train, val = (
        {
            name: folder
            for name, folder in split_folders.items()
            if folder.split == split and folder.set_words in common
        }
        for split in ("train", val)
    )
    note = f"training: {_list_folders(train)}; validation: {_list_folders(val)}"
    return {"train": list(train), "val": list(val)}, note


class _SplitFolder(NamedTuple):
    """A folder, its split, and the words of its name that identify the data set."""

    path: str
    split: str
    set_words: frozenset[str]


def _find_split(name: str) -> _SplitFolder | None:
    """The uppermost folder of a file that is named as a split."""
    folders = name.split(os.sep)[:-1]
    for depth, folder in enumerate(folders, start=1):
        words = frozenset(_WORD.findall(folder.lower()))
        splits = [split for split, named in _SPLIT_WORDS.items() if words & named]
        if len(splits) == 1:
            set_words = words - _SPLIT_WORDS[splits[0]] - _NEUTRAL_WORDS
            return _SplitFolder(os.path.join(*folders[:depth]), splits[0], set_words)
    return None


def _list_folders(split_folders: dict[str, _SplitFolder]) -> str:
    paths = sorted({folder.path for folder in split_folders.values()})
    more = len(paths) - _MOST_LISTED
    return ", ".join(paths[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
