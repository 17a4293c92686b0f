"""Opens and saves presets, which are KerasHub presets of `keras_hub_task`."""

import tempfile
from pathlib import Path

import numpy as np

from mirrorgan_tf.errors import UserError, first_line
from mirrorgan_tf.files import write_atomically
from mirrorgan_tf.keras_hub_task import (
    MirrorGANBackbone,
    MirrorGANTextToImage,
    MirrorGANTextToImagePreprocessor,
)
from mirrorgan_tf.mirrorgan import MirrorGAN

__all__ = ["keras_hub_task", "open_preset", "preset_handle", "save_preset"]

_PRESETS = Path(__file__).parent
_CONFIG_FILE = "config.json"


def preset_handle(name: str | Path) -> str:
    """The argument of KerasHub's `from_preset` for a preset.

    Args:
        name: name of a preset of this package, a folder that `save_preset` wrote, or a
            handle of KerasHub such as hf://owner/model.

    Raises:
        UserError: `name` is none of them.
    """
    if "://" in str(name):
        return str(name)
    for folder in (_PRESETS / name, Path(name)):
        if (folder / _CONFIG_FILE).is_file():
            return str(folder)
    names = sorted(path.parent.name for path in _PRESETS.glob(f"*/{_CONFIG_FILE}"))
    raise UserError(
        f"--preset={name}: there is no such preset; choose from {', '.join(names)}, or "
        f"give a folder with a {_CONFIG_FILE}"
    )


def open_preset(name: str | Path) -> MirrorGAN:
    """Opens a preset for generating images.

    Args:
        name: see `preset_handle`.

    Raises:
        UserError: there is no such preset, or it is damaged or of another version.
    """
    handle = preset_handle(name)
    try:
        task = MirrorGANTextToImage.from_preset(handle, dtype="float32")
    except Exception as error:
        # KerasHub, h5py and the clients of the hubs raise many classes of exceptions.
        hint = (
            "are its address and the network right?"
            if "://" in handle
            else "save it again with this version, or restore its files"
        )
        raise UserError(
            f"--preset={name}: cannot be loaded ({first_line(error)}); {hint}"
        ) from None
    backbone = task.backbone
    return MirrorGAN(
        task.preprocessor.tokenizer,
        backbone.stem,
        backbone.glam,
        backbone.stream,
        config=backbone.training_config,
        step=backbone.step,
        path=None if "://" in handle else Path(handle),
    )


def keras_hub_task(model: MirrorGAN, dtype: str = "float32") -> MirrorGANTextToImage:
    """A KerasHub task with a copy of a model's weights.

    Args:
        model: a trained model.
        dtype: policy of the task's networks.
    """
    backbone = MirrorGANBackbone(
        model.tokenizer.vocabulary_size(),
        model.config.to_flags(paths=False),
        step=model.step,
        with_stream=model.stream is not None,
        dtype=dtype,
    )
    for target, source in (
        (backbone.stem, model.stem),
        (backbone.glam, model.glam),
        (backbone.stream, model.stream),
    ):
        if source is not None:
            target.set_weights([np.asarray(weight) for weight in source.weights])
    return MirrorGANTextToImage(
        backbone, MirrorGANTextToImagePreprocessor(model.tokenizer)
    )


def save_preset(model: MirrorGAN, folder: str | Path, dtype: str = "float32") -> None:
    """Writes a preset of a model.

    Args:
        model: a trained model.
        folder: a new folder, or that of a preset, which is replaced except for its
            README.md.
        dtype: type of the weights in the file: float32, or float16 for half the size.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            keras_hub_task(model, dtype).save_to_preset(partial)
            for path in sorted(Path(partial).rglob("*")):
                if path.is_file():
                    target = folder / path.relative_to(partial)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(target, path.read_bytes())
    except OSError as error:
        raise UserError(f"--out={folder}: cannot be written ({error})") from None
