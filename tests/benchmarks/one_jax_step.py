"""`python -m tests.benchmarks.one_jax_step GIVEN.npz TOLD.npz`, with KERAS_BACKEND=jax.

Takes the step of `benchmarks.jax_glam` from the weights and inputs of GIVEN and writes
its losses and all that it has trained. Prints whether TensorFlow was needed.
"""

import json
import sys
from typing import Any

import keras
import numpy as np

from benchmarks.glam_networks import build_networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.networks import build_feature_discriminators


def named(values: Any) -> dict[str, np.ndarray]:
    """Nested dictionaries and lists of arrays, taken apart."""
    if isinstance(values, dict):
        parts = values.items()
    elif isinstance(values, list):
        parts = enumerate(values)
    else:
        return {"": keras.ops.convert_to_numpy(values)}
    return {
        f"{name}/{rest}".rstrip("/"): array
        for name, part in parts
        for rest, array in named(part).items()
    }


def main(given: str, told: str) -> None:
    """One step, compiled."""
    import jax

    from benchmarks.jax_glam import JaxGlam, build_compiled

    with np.load(given) as archive:
        arrays = dict(archive)
    config = Config.from_flags(**json.loads(str(arrays.pop("config"))))
    models = {}

    def make():
        models.update(build_networks(config, cnn=True))
        if config.feature_sizes:
            map_shapes = models["image_encoder"].backbone.map_shapes
            models["feature_discriminators"] = build_feature_discriminators(
                config, map_shapes
            )
        return JaxGlam(config, **models)

    glam = build_compiled(make)
    for name, variable in named_variables(models).items():
        variable.assign(arrays.pop(name))
    images = [arrays.pop(f"images/{i}") for i in range(config.generator.scales)]
    trained, frozen = glam.values()
    step = jax.jit(glam.step, donate_argnums=0)
    trained, losses = step(trained, frozen, arrays | {"images": images})
    np.savez(told, **named({"losses": losses, "trained": trained}))
    print(json.dumps({"tensorflow": "tensorflow" in sys.modules}))


def named_variables(models: dict[str, Any]) -> dict[str, keras.Variable]:
    """Every variable that a step begins with, but the optimizers'."""
    told = {}
    for name, model in models.items():
        for i, part in enumerate(model if isinstance(model, list) else [model]):
            for j, variable in enumerate(part.variables):
                told[f"{name}/{i}/{j}"] = variable
    return told


if __name__ == "__main__":
    main(*sys.argv[1:])
