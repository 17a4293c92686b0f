import numpy as np
import pytest

from mirrorgan_tf.metrics.kid import kid, squared_mmd


def brute_force(x, y):
    def kernel(a, b):
        return (float(np.dot(a, b)) / len(a) + 1) ** 3

    def within(rows):
        pairs = [
            kernel(rows[i], rows[j])
            for i in range(len(rows))
            for j in range(len(rows))
            if i != j
        ]
        return np.mean(pairs)

    across = np.mean([kernel(a, b) for a in x for b in y])
    return within(x) + within(y) - 2 * across


def test_agreement_with_brute_force():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 4)), rng.standard_normal((9, 4)) + 1
    assert squared_mmd(x, y) == pytest.approx(brute_force(x, y))


def test_it_is_unbiased():
    rng = np.random.default_rng(0)
    values = [squared_mmd(*rng.standard_normal((2, 10, 5))) for _ in range(3000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(3000)


def test_subsets_of_all_rows_say_what_the_whole_says():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 3)) + 1
    mean, std = kid(x, y, subsets=3)
    assert mean == pytest.approx(squared_mmd(x, y))
    assert std == pytest.approx(0, abs=1e-12)


def test_subsets_spread_around_the_whole():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 3)), rng.standard_normal((250, 3)) + 1
    mean, std = kid(x, y, subsets=100, subset_size=50, seed=1)
    assert std > 0
    assert mean == pytest.approx(squared_mmd(x, y), abs=4 * std / 10)
    assert kid(x, y, subsets=5, subset_size=50) == kid(x, y, subsets=5, subset_size=50)


def test_one_row_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        kid(np.zeros((1, 3)), np.zeros((5, 3)))
