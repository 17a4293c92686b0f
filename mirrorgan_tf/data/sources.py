"""Opens the data set that a configuration names, and chooses its vocabulary."""

import shlex
from pathlib import Path

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.registry import DATASETS
from mirrorgan_tf.data.reading import find_inside
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.registry import dataset_class, find_dataset
from mirrorgan_tf.data.shards import is_packed, read_packed, read_settings
from mirrorgan_tf.data.transforms import load_size
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["choose_vocabulary", "guess_dataset", "open_dataset"]

# A folder that looks like no data set is one of images with text files.
_LAST_RESORT = "folder"


def open_dataset(config: Config, *, draw: bool = True) -> dict[str, CaptionedImages]:
    """Reads both splits, "train" and "val".

    A folder that `mirrorgan_tf.prepare` has packed is read as it is.

    Args:
        config: names the data set.
        draw: draw a synthetic data set that is not there; else only read it.

    Raises:
        UserError: the data set is missing, broken, or looks like another one.
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
        likeness = _likeness(folder)
        if likeness in (None, config.data.dataset):
            raise
        raise UserError(
            f"{error}; the folder looks like --dataset={likeness}"
        ) from None


def choose_vocabulary(config: Config, splits: dict[str, CaptionedImages]) -> Vocabulary:
    """The words of --captions_pickle, else those of all captions.

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
    """The `--dataset` that a folder looks like; "folder" if like nothing else.

    A folder with a data set somewhere inside counts as that data set: its reader says
    where it lies.
    """
    data_dir = Path(data_dir)
    if is_packed(data_dir):
        return read_settings(data_dir).get("dataset", _LAST_RESORT)
    likeness = _likeness(data_dir)
    if likeness is None:
        likeness, _ = _find_nested(data_dir)
    return likeness or _LAST_RESORT


def _likeness(folder):
    """The data set that lies in a folder, or None."""
    return next((name for name in DATASETS if dataset_class(name).is_in(folder)), None)


def _find_nested(folder):
    """A data set in a subfolder, as its name and place, or (None, None)."""
    for name in DATASETS:
        # Images in subfolders are part of a plain folder.
        if name != _LAST_RESORT:
            place = find_inside(folder, dataset_class(name).is_in)
            if place is not None:
                return name, place
    return None, None


def _refuse_other_datasets(name, folder):
    """Refuses to draw into another data set: --dataset may have been forgotten."""
    likeness, place = _likeness(folder), folder
    if likeness is None:
        likeness, place = _find_nested(folder)
    if likeness in (None, name):
        return
    flags = f"--dataset={likeness}"
    if place != folder:
        flags += " " + shlex.quote(f"--data_dir={place}")
    raise UserError(
        f"--dataset={name}: {place} looks like {likeness}; give {flags}, or another "
        f"--data_dir to draw {name} in"
    )
