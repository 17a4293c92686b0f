"""Small networks that an evaluation trains once and keeps."""

import json
from pathlib import Path

import keras

from mirrorgan_tf.files import atomic_file, read_bytes, write_atomically

__all__ = ["load_network", "save_network"]


def save_network(model: keras.Model, folder: Path, name: str, facts: dict) -> None:
    """Writes NAME.keras and NAME.json with the facts that the network depends on."""
    folder.mkdir(parents=True, exist_ok=True)
    # The facts are written last: a network without them is not used.
    (folder / f"{name}.json").unlink(missing_ok=True)
    with atomic_file(folder / f"{name}.keras") as partial:
        model.save(partial)
    write_atomically(folder / f"{name}.json", json.dumps(facts, indent=1))


def load_network(folder: Path, name: str, facts: dict) -> keras.Model | None:
    """The saved network, or None if there is none that has the same facts."""
    try:
        if json.loads(read_bytes(folder / f"{name}.json")) != facts:
            return None
        return keras.models.load_model(folder / f"{name}.keras", compile=False)
    except (OSError, ValueError):
        return None
