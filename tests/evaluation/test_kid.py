import numpy as np
import pytest

from mirrorgan_tf.evaluation.kid import kid, squared_mmd


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


def test_squared_mmd_agrees_with_brute_force():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 4)), rng.standard_normal((9, 4)) + 1
    assert squared_mmd(x, y) == pytest.approx(brute_force(x, y))


def test_squared_mmd_is_unbiased():
    rng = np.random.default_rng(0)
    values = [squared_mmd(*rng.standard_normal((2, 10, 5))) for _ in range(3000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(3000)


def test_spread_of_halves_matches_that_of_independent_samples():
    rng = np.random.default_rng(0)

    def sample():
        return rng.standard_normal((60, 3)), rng.standard_normal((60, 3)) + 1

    independent = np.std([squared_mmd(*sample()) for _ in range(300)])
    spreads = [kid(*sample(), subset_size=1000)[1] for _ in range(20)]
    # The measured ratio is 0.95.
    assert np.mean(spreads) == pytest.approx(independent, rel=0.2)


@pytest.mark.parametrize("rows", [(4, 4), (5, 200), (200, 5)])
def test_spread_of_few_rows_is_above_zero(rows):
    rng = np.random.default_rng(0)
    real, generated = (rng.standard_normal((count, 3)) for count in rows)
    assert kid(real, generated)[1] > 0


def test_mean_over_subsets_is_near_the_value_of_all_rows():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 3)), rng.standard_normal((250, 3)) + 1
    mean, std = kid(x, y, subsets=100, subset_size=50, seed=1)
    assert std > 0
    assert mean == pytest.approx(squared_mmd(x, y), abs=4 * std / 10)
    assert kid(x, y, subsets=5, subset_size=50) == kid(x, y, subsets=5, subset_size=50)


@pytest.mark.parametrize("rows", [(1, 5), (3, 5), (5, 3)])
def test_sets_without_subsets_of_two_are_refused(rows):
    with pytest.raises(ValueError, match="at least 4"):
        kid(*(np.zeros((count, 3)) for count in rows))
