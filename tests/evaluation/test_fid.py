import numpy as np
import pytest
from scipy.linalg import sqrtm

from mirrorgan_tf.evaluation.fid import fid, frechet_distance


def test_frechet_distance_matches_closed_form_for_diagonal_covariances():
    # Diagonal: sum of (m - m')² + (s - s')².
    mean, other = np.array([0.0, 1, 2]), np.array([2.0, 1, -1])
    spread, other_spread = np.array([1.0, 2, 3]), np.array([3.0, 2, 0])
    distance = frechet_distance(
        mean, np.diag(spread**2), other, np.diag(other_spread**2)
    )
    assert distance == pytest.approx(4 + 9 + 4 + 9)


@pytest.mark.parametrize("rank", [8, 3])
def test_frechet_distance_agrees_with_scipys_matrix_root(rank):
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((8, rank)), rng.standard_normal((8, 8))
    first, second = (root @ root.T for root in roots)
    mean, other = rng.standard_normal((2, 8))
    root = sqrtm(first @ second)
    expected = np.sum((mean - other) ** 2) + np.trace(first + second - 2 * root.real)
    assert frechet_distance(mean, first, other, second) == pytest.approx(expected)
    assert frechet_distance(other, second, mean, first) == pytest.approx(expected)


def test_fid_of_samples_tends_to_the_distance_of_their_gaussians():
    rng = np.random.default_rng(1)
    real = rng.standard_normal((40_000, 3))
    generated = rng.standard_normal((40_000, 3)) * [1, 2, 3] + [1, 0, 0]
    assert fid(real, generated) == pytest.approx(1 + 0 + 1 + 4, rel=0.03)


def test_fid_of_a_shift_is_its_squared_length():
    # Fewer rows than features: the covariance has no full rank.
    features = np.random.default_rng(0).standard_normal((30, 50)).astype(np.float32)
    assert fid(features, features[::-1]) == pytest.approx(0, abs=1e-5)
    assert fid(features, features + 3) == pytest.approx(50 * 9, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 4), (4,)])
def test_fid_refuses_fewer_than_two_rows(shape):
    with pytest.raises(ValueError, match="N at least 2"):
        fid(np.zeros((5, 4)), np.zeros(shape))
