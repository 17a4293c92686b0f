import numpy as np
import pytest

from mirrorgan_tf.metrics.obedience import bootstrap_interval, measure, value_table


def test_measure_counts_by_hand():
    stated = np.array([0, 0, 0, 1, 1, 2])
    read = np.array([0, 0, 1, 1, 2, 2])
    result = measure(stated, read, 4, seed=0)
    assert result.captions == 6
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.chance == 0.25
    assert result.majority == pytest.approx(0.5)


def test_shuffled_tends_to_the_closed_form():
    rng = np.random.default_rng(1)
    stated, read = rng.integers(0, 5, 400), rng.integers(0, 3, 400)
    shares = [np.bincount(codes, minlength=5) / 400 for codes in (stated, read)]
    result = measure(stated, read, 5, seed=0)
    # A random pairing is right with probability sum p(stated = k) p(read = k).
    assert result.shuffled == pytest.approx(np.dot(*shares), abs=0.01)


def test_perfect_obedience_is_not_shuffled_obedience():
    codes = np.arange(1000) % 10
    result = measure(codes, codes, 10, seed=3)
    assert result.accuracy == 1 and result.interval == (1, 1)
    assert result.shuffled == pytest.approx(0.1, abs=0.01)


def test_same_seed_same_numbers():
    rng = np.random.default_rng(1)
    stated, read = rng.integers(0, 5, (2, 50))
    assert measure(stated, read, 5, seed=2) == measure(stated, read, 5, seed=2)


def test_bootstrap_interval_is_about_the_normal_one():
    right = np.arange(1000) < 640
    low, high = bootstrap_interval(right, seed=0)
    half = 1.96 * np.sqrt(0.64 * 0.36 / 1000)
    assert low == pytest.approx(0.64 - half, abs=0.004)
    assert high == pytest.approx(0.64 + half, abs=0.004)


def test_bootstrap_interval_agrees_with_resampling():
    right = np.arange(40) < 10
    rows = np.random.default_rng(5).integers(0, 40, (20_000, 40))
    expected = np.quantile(right[rows].mean(axis=1), [0.05, 0.95])
    given = bootstrap_interval(right, seed=0, level=0.9, draws=20_000)
    assert given == pytest.approx(tuple(expected), abs=0.026)


def test_value_table_by_hand():
    rows = value_table(np.array([0, 0, 0, 1]), np.array([0, 2, 2, 1]), ["a", "b", "c"])
    assert [row.value for row in rows] == ["a", "b", "c"]
    assert [row.captions for row in rows] == [3, 1, 0]
    assert rows[0].accuracy == pytest.approx(1 / 3)
    assert rows[1].accuracy == 1
    assert np.isnan(rows[2].accuracy)
    assert [row.mistaken_for for row in rows] == ["c", "", ""]


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_other_shapes_are_refused(shapes):
    stated, read = (np.zeros(shape, int) for shape in shapes)
    with pytest.raises(ValueError, match="expected the same"):
        measure(stated, read, 3, seed=0)
