"""Opens the data set that a configuration names, and chooses its vocabulary."""

import itertools
import shlex
from pathlib import Path

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.registry import DATASETS
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.registry import dataset_class, find_dataset
from mirrorgan_tf.data.shards import MANIFEST, is_packed, read_packed, read_settings
from mirrorgan_tf.data.transforms import load_size
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["choose_vocabulary", "guess_dataset", "open_dataset"]

# The data set of a folder in which no other one is recognised. Its images may be in any
# subfolder.
_PLAIN_FOLDER = "folder"
# Bounds the search for a data set in subfolders.
_MOST_SUBFOLDERS = 500


def open_dataset(config: Config, *, draw: bool = True) -> dict[str, CaptionedImages]:
    """Reads both splits, "train" and "val".

    Args:
        config: names the data set and its folder, which may be packed.
        draw: draw the images of a synthetic data set if they do not exist.

    Raises:
        UserError: the data set is missing or broken. If another one is in the folder,
            below it or above it, the message names it.
    """
    folder = Path(config.data.data_dir)
    if is_packed(folder):
        return read_packed(
            folder,
            dataset=config.data.dataset,
            shorter_px=load_size(config.sizes[-1]),
        )
    dataset = find_dataset(config)
    draw = draw and dataset.is_drawn
    if not (draw or folder.is_dir()):
        raise UserError(f"--data_dir={folder}: no such folder")
    try:
        if draw:
            dataset.draw()
        return dataset.read()
    except UserError as error:
        name, place = _locate_dataset(folder, above=True)
        if name is None or (name, place) == (config.data.dataset, folder):
            raise
        flag = shlex.quote(f"--data_dir={place}")
        raise UserError(f"{error}; try --dataset={name} {flag}") from None


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

    Raises:
        UserError: the folder is packed, but its manifest names no data set.
    """
    data_dir = Path(data_dir)
    if is_packed(data_dir):
        name = read_settings(data_dir).get("dataset")
        if name not in tuple(DATASETS):
            raise UserError(f"{data_dir / MANIFEST}: the data set {name!r} is unknown")
        return name
    name, _ = _locate_dataset(data_dir)
    return name or _PLAIN_FOLDER


def _locate_dataset(folder, *, above=False):
    """Name and folder of a data set in `folder` or near it; None, None without one.

    Searches two levels below, and two levels above if `above`.
    """
    for name in DATASETS:
        if dataset_class(name).is_in(folder):
            return name, folder
    subfolders = itertools.chain(folder.glob("*/"), folder.glob("*/*/"))
    places = sorted(itertools.islice(subfolders, _MOST_SUBFOLDERS))
    if above:
        places += folder.absolute().parents[:2]
    for place in places:
        for name in DATASETS:
            if name != _PLAIN_FOLDER and dataset_class(name).is_in(place):
                return name, place
    return None, None
