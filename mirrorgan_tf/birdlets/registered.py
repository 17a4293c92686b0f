"""Class `BirdletsDataset`, which `--dataset=birdlets` selects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES, read_codes
from mirrorgan_tf.birdlets.dataset import MANIFEST, write_birdlets
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.registry import Dataset
from mirrorgan_tf.progress import Progress

__all__ = ["BirdletsDataset"]


class BirdletsDataset(Dataset):
    """Drawn birds with captions and labels, stored in COCO's layout."""

    is_drawn = True
    tells_left_from_right = True
    label_values = ATTRIBUTES
    typical_words = 200

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder has birdlets."""
        return (folder / MANIFEST).is_file()

    @property
    def published_train_images(self) -> int:
        """The number of training images to draw."""
        return self.config.birdlets.train_images

    def draw(self) -> None:
        """Draws the images and writes their captions, unless they exist."""
        settings = self.config.birdlets
        total = settings.train_images + settings.val_images
        with Progress("drawing", total) as progress:
            is_new = write_birdlets(
                self.folder,
                train_images=settings.train_images,
                val_images=settings.val_images,
                seed=self.config.data.seed,
                progress=progress.update,
            )
        state = "drawn" if is_new else "exist already"
        logging.info("birdlets in %s: %s", self.folder, state)

    def read(self) -> dict[str, CaptionedImages]:
        """Indexes both splits."""
        return read_coco(self.folder)

    def read_labels(self, split: str, image_ids: np.ndarray) -> dict[str, np.ndarray]:
        """The attributes that the birds were drawn with."""
        return read_codes(self.folder, split, image_ids)

    def feature_extractors(
        self, networks_folder: Path, image_px: int
    ) -> dict[str, Callable]:
        """The classifier that reads attributes from images."""
        from mirrorgan_tf.birdlets.attribute_classifier import open_classifier

        return {
            "attribute_classifier": lambda: open_classifier(
                networks_folder, self.folder, image_px
            )
        }

    def metrics(self) -> dict[str, Any]:
        """Metrics of attributes: of generated images and of redescriptions."""
        from mirrorgan_tf.birdlets.metrics import birdlets_metrics

        return birdlets_metrics(self.folder)
