import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mirrorgan_tf.convert.names import network_entries
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation import fid_inception
from mirrorgan_tf.evaluation.fid_inception import FidInceptionExtractor
from tests.conftest import eager_functions
from tests.evaluation import fid_reference


@pytest.fixture(scope="module", autouse=True)
def network():
    """The network of all tests of this module; building it takes seconds."""
    network = fid_inception.fid_inception()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fid_inception, "fid_inception", lambda: network)
        yield network


@pytest.fixture(scope="module")
def weights(tmp_path_factory, network):
    """A weights file with parameters of the closed form and the unused top layer."""
    shapes = {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    for entry in network_entries(network, lambda name: name):
        shapes |= entry.their_shapes()
    path = tmp_path_factory.mktemp("fid") / "weights.npz"
    np.savez(path, **fid_reference.closed_form_state(shapes))
    return path


@pytest.fixture(scope="module")
def features(weights):
    extractor = FidInceptionExtractor(str(weights))
    small, large = fid_reference.images()
    traced = extractor(small[None])["features"]
    # Another size would be traced anew.
    with eager_functions():
        return np.concatenate([traced, extractor(large[None])["features"]])


def test_features_equal_the_golden_ones_of_pytorch_fid(features):
    with np.load(fid_reference.GOLDEN) as golden:
        expected = golden["features"]
    assert expected.std() > 0.1
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(
    not importlib.util.find_spec("pytorch_fid"), reason="pytorch-fid is not installed"
)
def test_features_equal_those_of_the_installed_pytorch_fid(features, tmp_path):
    # A process of its own: torchvision can crash where TensorFlow is loaded.
    path = tmp_path / "features.npz"
    command = [sys.executable, "-m", "tests.evaluation.fid_reference", str(path)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
    with np.load(path) as live:
        np.testing.assert_allclose(features, live["features"], rtol=1e-4, atol=1e-4)


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    np.savez(tmp_path / "other.npz", kernel=np.ones(3, np.float32))
    with pytest.raises(UserError, match="--fid_weights=.*do not fit FID's Inception"):
        FidInceptionExtractor(str(tmp_path / "other.npz"))
