"""Saving and loading of the small networks that an evaluation trains once."""

import json
from pathlib import Path

import keras

from mirrorgan_tf.files import atomic_file, read_bytes, write_atomically

__all__ = ["load_network", "save_network"]


def save_network(model: keras.Model, folder: Path, name: str, facts: dict) -> None:
    """Writes NAME.keras, and NAME.json with the facts that the network depends on."""
    folder.mkdir(parents=True, exist_ok=True)
    # A network without its facts is not loaded. They are removed first and written
    # last, so that an interruption never leaves a network with the facts of another.
    (folder / f"{name}.json").unlink(missing_ok=True)
    with atomic_file(folder / f"{name}.keras") as partial:
        model.save(partial)
    write_atomically(folder / f"{name}.json", json.dumps(facts, indent=1))


def load_network(folder: Path, name: str, facts: dict) -> keras.Model | None:
    """Loads a network; None if it is missing, damaged or has other facts."""
    try:
        if json.loads(read_bytes(folder / f"{name}.json")) != facts:
            return None
        return keras.models.load_model(folder / f"{name}.keras", compile=False)
    except (OSError, ValueError):
        return None
