import numpy as np
import pytest

from mirrorgan_tf.evaluation import neighbours
from mirrorgan_tf.evaluation.precision_recall import (
    density_and_coverage,
    precision_and_recall,
)


def radii_by_brute_force(rows, k):
    """Distance of each row to its k-th nearest neighbour."""
    return [
        sorted(np.linalg.norm(row - other) for j, other in enumerate(rows) if j != i)[
            k - 1
        ]
        for i, row in enumerate(rows)
    ]


def inside(points, centers, k):
    """(points, centers): whether a point is in the ball around a center."""
    radii = radii_by_brute_force(centers, k)
    return np.array(
        [
            [
                np.linalg.norm(point - c) <= r
                for c, r in zip(centers, radii, strict=True)
            ]
            for point in points
        ]
    )


@pytest.mark.parametrize("block", [4, 512])
def test_all_four_shares_agree_with_brute_force(block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    rng = np.random.default_rng(0)
    real, generated = rng.standard_normal((30, 3)), rng.standard_normal((25, 3)) + 1
    precision, recall = precision_and_recall(real, generated, k=3)
    assert precision == inside(generated, real, 3).any(axis=1).mean()
    assert recall == inside(real, generated, 3).any(axis=1).mean()
    assert 0 < precision < 1 and 0 < recall < 1
    density, coverage = density_and_coverage(real, generated, k=5)
    hits = inside(generated, real, 5)
    assert density == pytest.approx(hits.sum() / (5 * 25))
    assert coverage == hits.any(axis=0).mean()


def test_collapsed_generator_has_precision_one_and_recall_zero():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((200, 2))
    generated = np.repeat(real[:1], 50, axis=0) + 1e-6 * rng.standard_normal((50, 2))
    precision, recall = precision_and_recall(real, generated)
    assert precision == 1 and recall < 0.05
    assert density_and_coverage(real, generated)[1] < 0.1


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="more than k=3"):
        precision_and_recall(np.zeros((3, 2)), np.zeros((9, 2)))
