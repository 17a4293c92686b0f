"""`python -m tests.models.on_backend OUT.npz|GOLDEN`, under the KERAS_BACKEND set.

Writes what every small model gives, untrained and in training mode, with weights that
are the same on every backend; or compares with the original's tensors in the folder
GOLDEN. Prints a JSON object: the backend, whether TensorFlow was needed, and
quantities that differ.
"""

import contextlib
import functools
import json
import sys
from pathlib import Path

import keras
import numpy as np

from tests.models.small_models import MODELS

TAKE_TRAINING = ("glam", "attngan", "discriminator", "image_encoder", "stream")


def outputs() -> dict[str, np.ndarray]:
    """Every model's outputs, and its weights after a training step, by name."""
    told = {}
    for name, (make, inputs) in MODELS.items():
        model = make()
        model.build(*(x.shape for x in inputs))
        draws = np.random.default_rng(1)
        # Variances have to be above 0.
        model.set_weights(
            [np.abs(draws.normal(0.5, 0.3, w.shape)) for w in model.get_weights()]
        )
        told |= _named(name, _call(model, inputs))
        if name in TAKE_TRAINING:
            told |= _named(f"{name} training", _call(model, inputs, training=True))
            told |= _named(f"{name} after", model.get_weights())
    return told


def _call(model, inputs, **options):
    if keras.backend.backend() != "jax":
        return model(*inputs, **options)
    # JAX compiles op by op else; and what it compiles whole can hide no state.
    import jax

    states = model.trainable_variables, model.non_trainable_variables
    values, changed = jax.jit(functools.partial(model.stateless_call, **options))(
        *([variable.value for variable in some] for some in states), *inputs
    )
    for variable, value in zip(states[1], changed, strict=True):
        variable.assign(value)
    return values


def _named(name, values):
    return {
        f"{name} {place}": keras.ops.convert_to_numpy(value)
        for place, value in enumerate(keras.tree.flatten(values))
    }


def golden_misfits(folder: Path) -> dict:
    """How many golden quantities were compared, and those that differ."""
    from tools.parity import network_checks
    from tools.parity.golden import GoldenFile, Report

    report = Report()
    for name in ("stem", "stream_decoder", "damsm", "glam", "discriminators"):
        check = getattr(network_checks, f"check_{name}")
        file = "adversarial" if name == "discriminators" else name
        with contextlib.redirect_stdout(sys.stderr):
            check(GoldenFile(folder / f"{file}.npz"), report)
    return {"compared": len(report.lines), "failures": report.failures}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    if path.is_dir():
        told = golden_misfits(path)
    else:
        np.savez(path, **outputs())
        told = {}
    told |= {
        "backend": keras.backend.backend(),
        "tensorflow": "tensorflow" in sys.modules,
    }
    print(json.dumps(told))
