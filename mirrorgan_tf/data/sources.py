"""Opens the data set that a configuration names, and chooses its vocabulary."""

import shlex
from pathlib import Path

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.registry import DATASETS
from mirrorgan_tf.data.reading import find_inside
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.registry import dataset_class, find_dataset
from mirrorgan_tf.data.shards import (
    MANIFEST,
    is_packed,
    read_packed,
    read_settings,
)
from mirrorgan_tf.data.transforms import load_size
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["choose_vocabulary", "guess_dataset", "open_dataset"]

# The data set of a folder in which no other one is recognised.
_PLAIN_FOLDER = "folder"


def open_dataset(config: Config, *, draw: bool = True) -> dict[str, CaptionedImages]:
    """Reads both splits, "train" and "val".

    Args:
        config: names the data set and its folder, which may be packed.
        draw: draw the images of a synthetic data set if they do not exist.

    Raises:
        UserError: the data set is missing or broken, or the folder contains another
            one.
    """
    folder = Path(config.data.data_dir)
    if is_packed(folder):
        return read_packed(
            folder,
            dataset=config.data.dataset,
            shorter_px=load_size(config.sizes[-1]),
        )
    dataset = find_dataset(config)
    if dataset.is_drawn and draw:
        _refuse_other_datasets(config.data.dataset, folder)
        dataset.draw()
    try:
        return dataset.read()
    except UserError as error:
        name = _recognise(folder)
        if name in (None, config.data.dataset):
            raise
        raise UserError(f"{error}; the folder looks like --dataset={name}") from None


def choose_vocabulary(config: Config, splits: dict[str, CaptionedImages]) -> Vocabulary:
    """The words of --captions_pickle, otherwise those of all captions.

    Raises:
        UserError: the pickle is missing or not AttnGAN's.
    """
    if config.text.captions_pickle:
        return Vocabulary.from_captions_pickle(config.text.captions_pickle)
    captions = (
        caption
        for index in splits.values()
        for captions in index.captions
        for caption in captions
    )
    return Vocabulary.from_captions(captions, minimum_count=config.text.min_word_count)


def guess_dataset(data_dir: str | Path) -> str:
    """The `--dataset` of a folder; "folder" if no other one is recognised.

    If the data set is in a subfolder, its reader's error names that subfolder.

    Raises:
        UserError: the folder is packed, but its manifest names no data set.
    """
    data_dir = Path(data_dir)
    if is_packed(data_dir):
        name = read_settings(data_dir).get("dataset")
        if name not in tuple(DATASETS):
            raise UserError(f"{data_dir / MANIFEST}: the data set {name!r} is unknown")
        return name
    name, _ = _recognise_nested(data_dir)
    return name or _PLAIN_FOLDER


def _recognise(folder):
    """Name of the data set that is directly in a folder, or None."""
    return next((name for name in DATASETS if dataset_class(name).is_in(folder)), None)


def _recognise_nested(folder):
    """Name and folder of the data set in a folder or below it, or (None, None)."""
    if name := _recognise(folder):
        return name, folder
    for name in DATASETS:
        # A plain folder includes its subfolders.
        if name != _PLAIN_FOLDER:
            place = find_inside(folder, dataset_class(name).is_in)
            if place is not None:
                return name, place
    return None, None


def _refuse_other_datasets(name, folder):
    """Refuses to draw into another data set: --dataset may have been forgotten."""
    other, place = _recognise_nested(folder)
    if other in (None, name):
        return
    flags = f"--dataset={other}"
    if place != folder:
        flags += " " + shlex.quote(f"--data_dir={place}")
    raise UserError(
        f"--dataset={name}: {place} looks like {other}; give {flags}, or another "
        f"--data_dir to draw {name} in"
    )
