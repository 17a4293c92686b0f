"""Recognises folders that are named as splits: train, Validation, my_test."""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["declared_splits", "is_named_as_split"]

_ENDINGS = ("", "s", "set", "sets", "data", "image", "images", "img", "imgs")


def _with_endings(*words):
    return frozenset(f"{word}{ending}" for word in words for ending in _ENDINGS)


_SPLIT_WORDS = {
    "train": _with_endings("train", "training", "trn", "trainval"),
    "val": _with_endings("val", "valid", "validation", "dev", "eval", "evaluation"),
    "test": _with_endings("test", "testing", "tst", "holdout", "heldout"),
}
# Words that do not name the set that a folder is a split of.
_NEUTRAL_WORDS = frozenset({*_ENDINGS, "split", "splits", "photos", "pictures", "pics"})
_WORD = re.compile("[a-z]+")
_LISTED = 3


def declared_splits(names: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """Splits images by the names of their folders, at any depth.

    A folder is a split if a word of its name says so, in any case, with whatever
    digits and signs between: train, Training, my-train, train2017. Folders are splits
    of the same set if they share their other words: `birds_train` and `birds_val`,
    but not `train station` and `test tube`. Where no folder is for validation, one for
    testing is taken.

    Args:
        names: image files, relative to the data set's folder.

    Returns:
        The names by split, "train" and "val", or nothing where there are no such
        folders; and what was chosen, for people.
    """
    declared = {name: place for name in names if (place := _find_split(name))}
    sets = {
        kind: {place.of_set for place in declared.values() if place.kind == kind}
        for kind in _SPLIT_WORDS
    }
    val = next((kind for kind in ("val", "test") if sets["train"] & sets[kind]), None)
    if val is None:
        note = (
            f"named as a split, but not used without its other half: {_list(declared)}"
        )
        return {}, note * bool(declared)
    common = sets["train"] & sets[val]
    splits = {
        split: {
            name: place
            for name, place in declared.items()
            if place.kind == kind and place.of_set in common
        }
        for split, kind in (("train", "train"), ("val", val))
    }
    note = f"training: {_list(splits['train'])}; validation: {_list(splits['val'])}"
    return {split: list(places) for split, places in splits.items()}, note


class _SplitFolder(NamedTuple):
    """A folder, its split, and the words of its name that identify the data set."""

    folder: str
    kind: str
    of_set: frozenset[str]


def _find_split(name: str) -> _SplitFolder | None:
    """The uppermost folder of a file that is named as a split."""
    folders = name.split(os.sep)[:-1]
    for depth, folder in enumerate(folders, start=1):
        words = _words_of(folder)
        kinds = [kind for kind, named in _SPLIT_WORDS.items() if words & named]
        if len(kinds) == 1:
            of_set = words - _SPLIT_WORDS[kinds[0]] - _NEUTRAL_WORDS
            return _SplitFolder(os.path.join(*folders[:depth]), kinds[0], of_set)
    return None


def is_named_as_split(name: str) -> bool:
    """Whether a file is named as a split, or as splits: train.txt, splits.json."""
    words = _words_of(os.path.splitext(os.path.basename(name))[0])
    return bool(words & frozenset({"split", "splits"}.union(*_SPLIT_WORDS.values())))


def _words_of(name):
    return frozenset(_WORD.findall(name.lower()))


def _list(places: dict[str, _SplitFolder]) -> str:
    """The folders, for people."""
    folders = sorted({place.folder for place in places.values()})
    more = f" and {len(folders) - _LISTED} more" if len(folders) > _LISTED else ""
    return ", ".join(folders[:_LISTED]) + more
