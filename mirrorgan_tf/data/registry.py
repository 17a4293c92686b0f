"""The interface of a data set, and the class of each value of `--dataset`."""

import abc
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.registry import DATASETS
from mirrorgan_tf.data.records import CaptionedImages

__all__ = ["Dataset", "dataset_class", "find_dataset"]


class Dataset(abc.ABC):
    """A data set with the settings of a run.

    Attributes:
        config: the settings.
        folder: `--data_dir`.
        is_drawn: whether `draw` creates the images if the folder does not exist.
        tells_left_from_right: whether mirrored images contradict their captions.
        label_values: label -> the names of its values, for stage backbone; empty for
            a data set without labels.
        typical_words: size of the vocabulary that a dry run assumes.
    """

    is_drawn = False
    tells_left_from_right = False
    label_values: Mapping[str, Sequence[str]] = {}
    # Size of AttnGAN's vocabulary of CUB.
    typical_words = 5_450

    def __init__(self, config: Config):
        self.config = config
        self.folder = Path(config.data.data_dir)

    @classmethod
    @abc.abstractmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder contains this data set; for `check` and hints in errors.

        Args:
            folder: `--data_dir`, or a folder in or above it. It may be missing.
        """

    @abc.abstractmethod
    def read(self) -> dict[str, CaptionedImages]:
        """Indexes the splits "train" and "val"; counts what it leaves out in remarks.

        Raises:
            UserError: the data set is missing or broken.
        """

    @property
    def published_train_images(self) -> int | None:
        """Number of training images, without reading them; None if it is not known."""
        return None

    def draw(self) -> None:
        """Creates the images unless they exist; only for sets with `is_drawn`.

        Raises:
            UserError: the folder can't be written or contains something else.
        """
        raise NotImplementedError

    def read_labels(self, split: str, image_ids: np.ndarray) -> dict[str, np.ndarray]:
        """The labels of images; only for sets with `label_values`.

        Args:
            split: "train" or "val".
            image_ids: (N,) int64, `image_ids` of images of the split.

        Returns:
            label -> (N,) int32, the position of each image's value in `label_values`.

        Raises:
            UserError: the labels are missing or broken.
        """
        raise NotImplementedError

    def feature_extractors(
        self, networks_folder: Path, image_px: int
    ) -> dict[str, Callable]:
        """Networks that `evaluate` can use only for this data set.

        Args:
            networks_folder: folder of trained networks.
            image_px: side of the images.

        Returns:
            Name -> function that opens an `evaluation.features.FeatureExtractor`, or
            raises a UserError that says why it can't.
        """
        del networks_folder, image_px
        return {}

    def metrics(self) -> dict[str, Any]:
        """`evaluation.metric.Metric`s that `evaluate` computes only for this data set.

        Returns:
            Name -> metric.
        """
        return {}


def dataset_class(name: str) -> type[Dataset]:
    """The class of a name in `DATASETS`."""
    module, _, class_name = DATASETS[name].partition(":")
    return getattr(importlib.import_module(module), class_name)


def find_dataset(config: Config) -> Dataset:
    """The data set that a configuration names."""
    return dataset_class(config.data.dataset)(config)
