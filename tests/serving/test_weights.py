import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.serving.weights import StoredWeights

X = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)


@pytest.fixture
def model():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(5, 3, kernel_initializer="he_normal"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )
    model(X)
    return model


class Served(tf.Module):
    def __init__(self, model, quantize="none"):
        super().__init__()
        weights = StoredWeights([model], quantize)
        self.weights = weights

        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3])])
        def serve(x):
            with weights.in_use():
                return {"y": model(x)}

        self.serve = serve


def test_copy_is_exact_and_independent_of_the_model(model):
    served, expected = Served(model), model(X).numpy()
    model.set_weights([weight + 1 for weight in model.get_weights()])
    np.testing.assert_array_equal(served.serve(X)["y"], expected)
    assert (model(X).numpy() != expected).any()


def test_graph_uses_no_variables_of_the_model(model):
    served = Served(model, "int8")
    stored = {variable.ref() for variable in served.weights.variables}
    used = {
        variable.ref() for variable in served.serve.get_concrete_function().variables
    }
    assert used and used <= stored


def test_int8_kernels_differ_by_at_most_half_a_step(model):
    weights = StoredWeights([model], "int8")
    for variable, read in zip(model.variables, weights.read(), strict=True):
        original, read = variable.numpy(), read.numpy()
        if original.ndim < 2:
            np.testing.assert_array_equal(read, original)
            continue
        step = np.abs(original).max(tuple(range(original.ndim - 1))) / 127
        assert (np.abs(read - original) <= step * 0.5001).all()
        assert (read != original).any()
    kinds = {variable.dtype for variable in weights.variables}
    assert kinds == {tf.int8, tf.float32}


def test_int8_channel_of_zeros_stays_zero(model):
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(5) == 2, 0, kernel.numpy()))
    read = StoredWeights([model], "int8").read()[0].numpy()
    assert np.isfinite(read).all() and not read[..., 2].any()
