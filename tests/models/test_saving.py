"""Every model: config round trip, saving, mixed precision."""

import keras
import numpy as np
import pytest

from tests.conftest import half_precision
from tests.models.small_models import MODELS


def _flat(outputs):
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


@pytest.mark.parametrize("name", MODELS)
def test_config_round_trip(name):
    model = MODELS[name][0]()
    copy = type(model).from_config(model.get_config())
    assert copy.get_config() == model.get_config()


@pytest.mark.parametrize("name", MODELS)
def test_loaded_model_has_the_same_outputs(name, tmp_path):
    make, inputs = MODELS[name]
    model = make()
    expected = _flat(model(*inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    for output, value in zip(_flat(loaded(*inputs)), expected, strict=True):
        np.testing.assert_array_equal(output, value)


@pytest.mark.parametrize("name", MODELS)
def test_mixed_precision_keeps_weights_and_sensitive_outputs_in_float32(name):
    make, inputs = MODELS[name]
    expected = _flat(make()(*inputs))
    with half_precision():
        model = make()
        outputs = model(*inputs)
    flat = _flat(
        keras.tree.map_structure(lambda x: keras.ops.cast(x, "float32"), outputs)
    )
    assert [x.shape for x in flat] == [x.shape for x in expected]
    assert all(np.isfinite(x).all() for x in flat)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    if isinstance(outputs, dict):
        for x in keras.tree.flatten(outputs):
            assert keras.backend.standardize_dtype(x.dtype) == "float32"
    if isinstance(outputs, dict) and "word_attention" in outputs:
        sums = np.sum(_flat(outputs["word_attention"])[0], axis=-1)
        np.testing.assert_allclose(sums, 1.0, rtol=1e-5)
