"""The models use Keras alone: all backends compute what TensorFlow computes."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.models.on_backend import outputs


@pytest.fixture(scope="module")
def expected():
    return outputs()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_models_and_losses_have_the_values_of_tensorflow(backend, expected, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # Sizes are small: optimising takes longer than computing.
    settings = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "KERAS_BACKEND": backend}
    path = tmp_path / "outputs.npz"
    process = subprocess.run(
        [sys.executable, "-m", "tests.models.on_backend", str(path)],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout.splitlines()[-1])
    assert report == {"backend": backend, "tensorflow": False}
    with np.load(path) as archive:
        assert archive.files == list(expected)
        for name, value in expected.items():
            scale = max(1, np.abs(value).max())
            np.testing.assert_allclose(
                archive[name] / scale, value / scale, atol=2e-5, err_msg=name
            )
