"""`python -m tests.benchmarks.one_jax_step INPUTS.npz OUT.npz`, with KERAS_BACKEND=jax.

Runs one step of `benchmarks.jax_glam` from the weights and inputs in INPUTS and writes
its losses and all variables that it updated. Prints whether TensorFlow was imported.
"""

import json
import sys
from typing import Any

import keras
import numpy as np

from benchmarks.glam_networks import build_networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.networks import build_feature_discriminators


def flatten(values: Any) -> dict[str, np.ndarray]:
    """Nested dictionaries and lists of arrays as one dictionary of paths."""
    if isinstance(values, dict):
        parts = values.items()
    elif isinstance(values, list):
        parts = enumerate(values)
    else:
        return {"": keras.ops.convert_to_numpy(values)}
    return {
        f"{name}/{rest}".rstrip("/"): array
        for name, part in parts
        for rest, array in flatten(part).items()
    }


def initial_variables(models: dict[str, Any]) -> dict[str, keras.Variable]:
    """Every variable of the models, by path."""
    return {
        f"{name}/{i}/{j}": variable
        for name, model in models.items()
        for i, part in enumerate(model if isinstance(model, list) else [model])
        for j, variable in enumerate(part.variables)
    }


def main(inputs_path: str, out: str) -> None:
    """Compiles and runs the step."""
    import jax

    from benchmarks.jax_glam import JaxGlam, build_compiled

    with np.load(inputs_path) as archive:
        arrays = dict(archive)
    config = Config.from_flags(**json.loads(str(arrays.pop("config"))))
    models = {}

    def build():
        models.update(build_networks(config, cnn=True))
        if config.feature_sizes:
            map_shapes = models["image_encoder"].backbone.map_shapes
            models["feature_discriminators"] = build_feature_discriminators(
                config, map_shapes
            )
        return JaxGlam(config, **models)

    glam = build_compiled(build)
    for name, variable in initial_variables(models).items():
        variable.assign(arrays.pop(name))
    images = [arrays.pop(f"images/{i}") for i in range(config.generator.scales)]
    trained, frozen = glam.values()
    step = jax.jit(glam.step, donate_argnums=0)
    trained, losses = step(trained, frozen, arrays | {"images": images})
    np.savez(out, **flatten({"losses": losses, "trained": trained}))
    print(json.dumps({"tensorflow": "tensorflow" in sys.modules}))


if __name__ == "__main__":
    main(*sys.argv[1:])
