"""The data set that a configuration names, and its words."""

from pathlib import Path

from absl import logging

from mirrorgan_tf.config import Config
from mirrorgan_tf.data.birdlets.dataset import write_birdlets
from mirrorgan_tf.data.coco import coco_years, read_coco_jsons, read_coco_splits
from mirrorgan_tf.data.cub import find_cub, read_cub
from mirrorgan_tf.data.folder import read_folder
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.shards import is_packed, read_packed
from mirrorgan_tf.data.splits import split_by_name
from mirrorgan_tf.data.transforms import load_size
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["choose_vocabulary", "guess_dataset", "open_dataset"]


def open_dataset(config: Config) -> dict[str, CaptionedImages]:
    """Reads both splits, "train" and "val"; draws birdlets if they are not there.

    A folder that `mirrorgan_tf.data.prepare` has packed is read as it is.

    Raises:
        UserError: the data set is missing or broken.
    """
    if is_packed(Path(config.data_dir)):
        return read_packed(
            Path(config.data_dir),
            dataset=config.dataset,
            shorter_px=load_size(config.sizes[-1]),
        )
    return _READERS[config.dataset](config)


def choose_vocabulary(config: Config, splits: dict[str, CaptionedImages]) -> Vocabulary:
    """The words of --captions_pickle, else those of all captions.

    Raises:
        UserError: the pickle is missing or not AttnGAN's.
    """
    if config.captions_pickle:
        return Vocabulary.from_captions_pickle(config.captions_pickle)
    captions = (
        caption
        for index in splits.values()
        for captions in index.captions
        for caption in captions
    )
    return Vocabulary.from_captions(captions, minimum_count=config.min_word_count)


def guess_dataset(data_dir: str | Path) -> str:
    """What --dataset a folder looks like; "folder" if like nothing else."""
    if find_cub(Path(data_dir)):
        return "cub"
    return "coco" if coco_years(Path(data_dir)) else "folder"


def _open_birdlets(config):
    drawn = write_birdlets(
        config.data_dir,
        train_images=config.birdlets_train_images,
        val_images=config.birdlets_val_images,
        seed=config.seed,
        progress=_log_progress,
    )
    logging.info("birdlets %s in %s", "drawn" if drawn else "found", config.data_dir)
    return read_coco_splits(config.data_dir)


def _log_progress(done, total):
    if done % 1000 == 0 or done == total:
        logging.info("drawn %d/%d", done, total)


def _open_coco(config):
    data_dir = Path(config.data_dir)
    if not config.coco_train_json:
        return read_coco_splits(data_dir)
    val_images = config.coco_val_images or config.coco_images
    named = {"train": (data_dir / config.coco_train_json, config.coco_images)}
    if config.coco_val_json:
        named["val"] = (data_dir / config.coco_val_json, val_images)
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
        data_dir / config.coco_images,
        val_share=config.val_share,
        seed=config.seed,
    )


_READERS = {
    "birdlets": _open_birdlets,
    "coco": _open_coco,
    "cub": lambda config: read_cub(config.data_dir),
    "folder": lambda config: read_folder(
        config.data_dir, val_share=config.val_share, seed=config.seed
    ),
}
