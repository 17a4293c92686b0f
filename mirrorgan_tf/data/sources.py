"""The data set that a configuration names."""

from pathlib import Path

from absl import logging

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.birdlets.dataset import write_birdlets
from mirrorgan_tf.data.coco import read_coco
from mirrorgan_tf.data.records import CaptionedImages

__all__ = ["open_dataset"]


def open_dataset(config: Config) -> dict[str, CaptionedImages]:
    """Reads both splits, "train" and "val"; draws birdlets if they are not there.

    Raises:
        UserError: the data set is missing or broken.
    """
    data_dir = Path(config.data_dir)
    if config.dataset == "cub":
        raise UserError(
            "--dataset=cub: there is no reader for CUB yet; use --dry_run to try the "
            "networks, or convert the set to COCO's layout and use --dataset=coco"
        )
    if config.dataset == "birdlets":
        drawn = write_birdlets(
            data_dir,
            train_images=config.birdlets_train_images,
            val_images=config.birdlets_val_images,
            seed=config.seed,
            progress=_log_progress,
        )
        logging.info("birdlets %s in %s", "drawn" if drawn else "found", data_dir)
    return {split: read_coco(data_dir, split) for split in ("train", "val")}


def _log_progress(done, total):
    if done % 1000 == 0 or done == total:
        logging.info("drawn %d/%d", done, total)
