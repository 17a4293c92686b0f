"""Training from Python on a user's own `tf.data.Dataset`."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from mirrorgan_tf import training_run
from mirrorgan_tf.arguments import check_path
from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.config.flagfiles import recipe_path
from mirrorgan_tf.data.bad_examples import data_errors
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_folder
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.training.progress import Callback
from mirrorgan_tf.training.signals import StopSignals

__all__ = ["fit"]


def fit(
    config: Config | str,
    dataset: tf.data.Dataset,
    *,
    workdir: str | Path,
    validation_dataset: tf.data.Dataset | None = None,
    callbacks: Sequence[Callback] = (),
    **settings: object,
) -> MirrorGAN:
    """Trains a MirrorGAN on any images with captions.

    The examples are written to `workdir`/dataset first; then the training is that of
    the command `train`. Calling `fit` again with the same workdir continues an
    interrupted training, with the examples that were written then. Ctrl-C saves a
    checkpoint.

    Args:
        config: the settings, or the name of a recipe such as "birdlets".
        dataset: finite and not batched, of dictionaries with `image`, (H, W, 3) uint8,
            and `captions`, (k,) or () string.
        workdir: folder of the training.
        validation_dataset: like `dataset`; None: a share of it, setting `val_share`.
        callbacks: functions of the stage's name, the step, and the losses or validation
            figures by name; called whenever the training logs them.
        **settings: changes of single settings, by their flags' names:
            `glam_steps=2000`.

    Returns:
        The trained model, with the averaged generator.

    Raises:
        TypeError: an argument is of another type, or there is no such setting.
        ValueError: a dataset or a setting is not fit for training.
    """
    for name, examples in (
        ("dataset", dataset),
        ("validation_dataset", validation_dataset),
    ):
        if examples is not None or name == "dataset":
            _check_dataset(name, examples)
    if not isinstance(config, Config | str):
        raise TypeError(f"config={config!r}; expected a Config or a recipe's name")
    check_path("workdir", workdir)
    workdir = Path(workdir)
    folder = workdir / "dataset"
    policy = keras.config.dtype_policy()
    try:
        if isinstance(config, str):
            config = read_config(recipe_path(config), ignored=("workdir", "stages"))
        settings = {"dataset": "folder", **settings, "data_dir": str(folder)}
        config = config.replace(**settings)
        if not folder.exists():
            _write_examples(folder, dataset, validation_dataset)
        strategy = training_run.prepare_devices(config)
        training_run.check_batch_sizes(config, config.stages, strategy)
        with StopSignals() as signals, data_errors():
            training_run.train(
                config, workdir, (), strategy, signals, callbacks=callbacks
            )
    except UserError as error:
        raise ValueError(str(error)) from None
    finally:
        # The setting --mixed_precision is Keras' global policy while it trains.
        keras.config.set_dtype_policy(policy)
    return MirrorGAN.from_workdir(workdir)


def _check_dataset(name, dataset):
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(f"{name}={dataset!r}; expected a tf.data.Dataset")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"{name} is infinite; expected a finite one, without repeat()")
    expected = "expected {'image': (H, W, 3) uint8, 'captions': (k,) string}"
    spec = dataset.element_spec
    if not isinstance(spec, dict) or not {"image", "captions"} <= spec.keys():
        raise ValueError(f"{name} has elements {spec}; {expected}")
    image, captions = spec["image"], spec["captions"]
    image_fits = image.dtype == tf.uint8 and image.shape.is_compatible_with(
        [None, None, 3]
    )
    captions_fit = captions.dtype == tf.string and captions.shape.rank in (0, 1, None)
    if not image_fits or not captions_fit:
        raise ValueError(f"{name} has elements {spec}; {expected}")


def _write_examples(folder, dataset, validation_dataset):
    """Writes a data set of kind "folder", whole or not at all."""
    try:
        with atomic_folder(folder) as partial:
            if validation_dataset is None:
                _write_split(partial, "dataset", dataset)
            else:
                _write_split(partial / "train", "dataset", dataset)
                _write_split(partial / "val", "validation_dataset", validation_dataset)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error})") from None


def _write_split(folder, name, dataset):
    folder.mkdir(parents=True, exist_ok=True)
    number = -1
    for number, example in enumerate(dataset.as_numpy_iterator()):
        captions = [
            " ".join(caption.decode("utf-8", "replace").split())
            for caption in np.ravel(example["captions"])
        ]
        if not any(captions):
            raise ValueError(f"{name}: example {number} has no caption")
        path = folder / f"{number:08d}.png"
        Image.fromarray(example["image"]).save(path)
        path.with_suffix(".txt").write_text(
            "".join(f"{caption}\n" for caption in captions if caption), encoding="utf-8"
        )
    if number < 0:
        raise ValueError(f"{name} is empty")
