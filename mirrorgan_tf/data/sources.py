"""The data set that a configuration names, and its words."""

import shlex
from pathlib import Path

from absl import logging

from mirrorgan_tf.birdlets.dataset import MANIFEST as BIRDLETS_MANIFEST
from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.datasets.coco import (
    coco_years,
    read_coco_jsons,
    read_coco_splits,
)
from mirrorgan_tf.data.datasets.cub import find_cub, read_cub
from mirrorgan_tf.data.datasets.folder import has_captioned_image, read_folder
from mirrorgan_tf.data.reading import find_inside
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.shards import MANIFEST as PACKED_MANIFEST
from mirrorgan_tf.data.shards import is_packed, read_json, read_packed
from mirrorgan_tf.data.splits import split_by_name
from mirrorgan_tf.data.transforms import load_size
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["choose_vocabulary", "guess_dataset", "open_dataset"]


def open_dataset(config: Config, *, draw: bool = True) -> dict[str, CaptionedImages]:
    """Reads both splits, "train" and "val".

    A folder that `mirrorgan_tf.prepare` has packed is read as it is.

    Args:
        config: names the data set.
        draw: draw birdlets where there are none; else only read what is there.

    Raises:
        UserError: the data set is missing, broken, or looks like another one.
    """
    data_dir = Path(config.data.data_dir)
    if is_packed(data_dir):
        return read_packed(
            data_dir,
            dataset=config.data.dataset,
            shorter_px=load_size(config.sizes[-1]),
        )
    if config.data.dataset == "birdlets":
        _refuse_other_sets(data_dir)
        # Birdlets lie there in COCO's layout.
        return _open_birdlets(config) if draw else read_coco_splits(data_dir)
    try:
        return _READERS[config.data.dataset](config)
    except UserError as error:
        likeness = _likeness(data_dir)
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
    """What --dataset a folder looks like; "folder" if like nothing else.

    A folder that holds CUB or COCO somewhere inside counts as such: their readers
    say where it lies.
    """
    data_dir = Path(data_dir)
    if is_packed(data_dir):
        packed = read_json(data_dir / PACKED_MANIFEST).get("settings", {})
        return packed.get("dataset", "folder")
    likeness = _likeness(data_dir)
    if likeness is None:
        for dataset, is_it in (("cub", find_cub), ("coco", coco_years)):
            if find_inside(data_dir, is_it):
                return dataset
    return "coco" if likeness == "birdlets" else likeness or "folder"


def _likeness(data_dir):
    """The data set that lies in a folder, or None."""
    if (data_dir / BIRDLETS_MANIFEST).is_file():
        return "birdlets"
    if find_cub(data_dir):
        return "cub"
    if coco_years(data_dir):
        return "coco"
    return "folder" if has_captioned_image(data_dir) else None


def _refuse_other_sets(data_dir):
    """Birdlets are the default: --dataset may just have been forgotten."""
    likeness = _likeness(data_dir)
    if likeness not in (None, "birdlets"):
        raise UserError(
            f"--dataset=birdlets: {data_dir} looks like {likeness}; give "
            f"--dataset={likeness}, or another --data_dir to draw birdlets in"
        )
    for dataset, is_it in (("cub", find_cub), ("coco", coco_years)):
        inside = find_inside(data_dir, is_it)
        if inside is not None:
            flag = shlex.quote(f"--data_dir={inside}")
            raise UserError(
                f"--dataset=birdlets: {inside} looks like {dataset}; give "
                f"--dataset={dataset} {flag}, or another --data_dir to draw birdlets in"
            )


def _open_birdlets(config):
    drawn = write_birdlets(
        config.data.data_dir,
        train_images=config.birdlets.train_images,
        val_images=config.birdlets.val_images,
        seed=config.data.seed,
        progress=_log_progress,
    )
    logging.info(
        "birdlets %s in %s", "drawn" if drawn else "found", config.data.data_dir
    )
    return read_coco_splits(config.data.data_dir)


def _log_progress(done, total):
    if done % 1000 == 0 or done == total:
        logging.info("drawn %d/%d", done, total)


def _open_coco(config):
    data_dir = Path(config.data.data_dir)
    if not config.data.coco_train_json:
        return read_coco_splits(data_dir)
    val_images = config.data.coco_val_images or config.data.coco_images
    named = {"train": (data_dir / config.data.coco_train_json, config.data.coco_images)}
    if config.data.coco_val_json:
        named["val"] = (data_dir / config.data.coco_val_json, val_images)
    splits = read_coco_jsons(
        {
            # Beside the JSON first: a folder a split, of the same name, is usual.
            split: (path, [path.parent / images, data_dir / images])
            for split, (path, images) in named.items()
        }
    )
    if "val" in splits:
        return splits
    return split_by_name(
        splits["train"],
        data_dir / config.data.coco_images,
        val_share=config.data.val_share,
        seed=config.data.seed,
    )


_READERS = {
    "coco": _open_coco,
    "cub": lambda config: read_cub(config.data.data_dir),
    "folder": lambda config: read_folder(
        config.data.data_dir, val_share=config.data.val_share, seed=config.data.seed
    ),
}
