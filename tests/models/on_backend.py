"""`python -m tests.models.on_backend OUT.npz`, under the KERAS_BACKEND that is set.

Writes the outputs of every small model, untrained and in training mode, with weights
that are the same on every backend, and those of the functions that use models. Prints a
JSON object: the backend, and whether TensorFlow was imported.
"""

import functools
import json
import sys

import keras
import numpy as np

from mirrorgan_tf.losses import damsm
from mirrorgan_tf.losses.caption import caption_cross_entropy
from mirrorgan_tf.models.redescription import greedy, log_likelihood
from tests.models.small_models import IDS, IMAGES, MODELS

_WITH_BATCH_STATISTICS = ("glam", "discriminator", "image_encoder", "stream")


def outputs() -> dict[str, np.ndarray]:
    """Outputs by name, and the weights after a call in training mode."""
    results, models = {}, {}
    for name, (build, inputs) in MODELS.items():
        models[name] = model = build()
        model.build(*(x.shape for x in inputs))
        random = np.random.default_rng(1)
        # Variances must be positive.
        model.set_weights(
            [np.abs(random.normal(0.5, 0.3, w.shape)) for w in model.get_weights()]
        )
        results |= _by_name(name, _call(model, inputs))
        if name in _WITH_BATCH_STATISTICS:
            results |= _by_name(f"{name} training", _call(model, inputs, training=True))
            results |= _by_name(f"{name} after", model.get_weights())
    return results | _by_name("functions", _functions(models["stream"]))


def _functions(stream):
    random = np.random.default_rng(2)
    regions, words, code, sentence = (
        keras.ops.convert_to_tensor(random.normal(size=shape).astype(np.float32))
        for shape in ((2, 4, 6), (2, 3, 6), (2, 6), (2, 6))
    )

    def compute():
        features = stream.encoder(IMAGES)
        by_word = damsm.word_similarity(regions, words, IDS == 0)
        by_sentence = damsm.sentence_similarity(code, sentence)
        return [
            greedy(stream.decoder, features, 5),
            log_likelihood(stream.decoder, features, IDS),
            caption_cross_entropy(stream(IMAGES, IDS), IDS),
            *damsm.matching_losses(by_word, np.array([1, 1], np.int32)),
            *damsm.matching_losses(by_sentence),
        ]

    if keras.backend.backend() != "jax":
        return compute()
    import jax

    return jax.jit(compute)()


def _call(model, inputs, **options):
    if keras.backend.backend() != "jax":
        return model(*inputs, **options)
    # Otherwise JAX compiles operation by operation. A compiled function has no state.
    import jax

    variables = model.trainable_variables, model.non_trainable_variables
    values, new_values = jax.jit(functools.partial(model.stateless_call, **options))(
        *([variable.value for variable in part] for part in variables), *inputs
    )
    for variable, value in zip(variables[1], new_values, strict=True):
        variable.assign(value)
    return values


def _by_name(name, values):
    return {
        f"{name} {i}": keras.ops.convert_to_numpy(value)
        for i, value in enumerate(keras.tree.flatten(values))
    }


if __name__ == "__main__":
    np.savez(sys.argv[1], **outputs())
    print(
        json.dumps(
            {
                "backend": keras.backend.backend(),
                "tensorflow": "tensorflow" in sys.modules,
            }
        )
    )
