"""Opening and saving presets.

A preset holds what makes images and reads them back: STEM, the averaged generator and
STREAM, in half precision, with the vocabulary and the settings of their training.
"""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config, write_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import whole_file
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.networks import build_glam, build_stream, build_text_encoder
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.workdir import FLAGS_FILE, VOCABULARY_FILE

__all__ = ["open_preset", "save_preset"]

_PRESETS = Path(__file__).parent
_WEIGHTS_FILE = "weights.npz"
_NETWORKS = ("stem", "stream", "glam")


def open_preset(name: str | Path) -> MirrorGAN:
    """Opens a preset for making images, as `open_workdir` opens a model.

    Args:
        name: of a preset of the package, or a folder that `save_preset` wrote.

    Raises:
        UserError: there is no such preset, or it is damaged or of other networks.
    """
    folder = _PRESETS / name
    if not (folder / _WEIGHTS_FILE).is_file():
        folder = Path(name)
    if not (folder / _WEIGHTS_FILE).is_file():
        names = sorted(path.parent.name for path in _PRESETS.glob(f"*/{_WEIGHTS_FILE}"))
        raise UserError(
            f"--preset={name}: there is no such preset; choose from "
            f"{', '.join(names)}, or give a folder with a {_WEIGHTS_FILE}"
        )
    config = read_config(folder / FLAGS_FILE)
    vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
    words = len(vocabulary) + 1
    networks = {
        "stem": build_text_encoder(config, words),
        "stream": build_stream(config, words),
        "glam": build_glam(config),
    }
    step = _load_weights(folder / _WEIGHTS_FILE, networks)
    return MirrorGAN(
        path=folder,
        config=config,
        tokenizer=CaptionTokenizer(vocabulary, config.text.max_words),
        step=step,
        **networks,
    )


def save_preset(model: MirrorGAN, folder: str | Path) -> None:
    """Writes a preset of a trained run; its README.md, if there is one, stays.

    Args:
        model: with a STREAM.
        folder: new, or that of a preset, which is replaced.

    Raises:
        UserError: the run has no STREAM, or the folder cannot be written.
    """
    folder = Path(folder)
    if model.stream is None:
        raise UserError(f"{model.path}: has no STREAM, which a preset needs")
    arrays = {"step": np.asarray(model.step)}
    for name in _NETWORKS:
        for i, weight in enumerate(getattr(model, name).weights):
            arrays[f"{name}/{i}"] = weight.numpy().astype(np.float16)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Where the data lay is of no use elsewhere.
        data_dir = Config().data.data_dir
        config = model.config.replace(data_dir=data_dir, captions_pickle="")
        write_config(config, folder / FLAGS_FILE)
        model.tokenizer.vocabulary.save(folder / VOCABULARY_FILE)
        with whole_file(folder / _WEIGHTS_FILE) as partial:
            np.savez(partial, **arrays)
    except OSError as error:
        raise UserError(f"--out={folder}: cannot be written: {error}") from None


def _load_weights(path: Path, networks: Mapping[str, keras.Model]) -> int:
    """Sets the networks' weights; returns the steps that GLAM was trained for."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception as error:
        # NumPy raises many kinds for damaged archives.
        raise UserError(f"{path}: cannot be read: {error}; install it again") from None
    expected = {
        f"{name}/{i}": weight
        for name, network in networks.items()
        for i, weight in enumerate(network.weights)
    }
    if set(arrays) != {"step", *expected} or any(
        arrays[name].shape != tuple(weight.shape) for name, weight in expected.items()
    ):
        raise UserError(
            f"{path}: is not of the networks that its settings describe; save the "
            "preset again with this version"
        )
    for name, weight in expected.items():
        weight.assign(arrays[name].astype(weight.dtype))
    return int(arrays["step"])
