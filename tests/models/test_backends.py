"""The models are Keras alone: other backends give what TensorFlow gives."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.models.on_backend import outputs


def _run(backend, path):
    """The script's report, in a process of its own."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # Small sizes: compiling well takes longer than computing.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.on_backend", str(path)],
        cwd=ROOT,
        env=os.environ | quick,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_tensorflow():
    return outputs()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_model_gives_the_same(backend, on_tensorflow, tmp_path):
    told = _run(backend, tmp_path / "outputs.npz")
    assert told == {"backend": backend, "tensorflow": False}
    with np.load(tmp_path / "outputs.npz") as archive:
        assert archive.files == list(on_tensorflow)
        for name, expected in on_tensorflow.items():
            scale = max(1, np.abs(expected).max())
            np.testing.assert_allclose(
                archive[name] / scale, expected / scale, atol=2e-5, err_msg=name
            )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_golden_tensors_agree(backend, reference):
    told = _run(backend, reference)
    assert told["backend"] == backend
    assert told["failures"] == []
    assert told["compared"] == 35
