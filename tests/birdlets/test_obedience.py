import numpy as np
import pytest

from mirrorgan_tf.birdlets.obedience import (
    bootstrap_interval,
    measure,
    measure_all,
    value_table,
)


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


def test_overall_counts_by_hand():
    stated = np.array([[0, -1, 2], [1, 1, -1], [-1, -1, -1]])
    read = np.array([[0, 5, 1], [1, 0, 3], [0, 0, 0]])
    result = measure_all(stated, read, [2, 4, 8], seed=0)
    assert result.statements == 4
    assert result.accuracy == pytest.approx(2 / 4)
    assert result.chance == pytest.approx((1 / 2 + 1 / 8 + 1 / 2 + 1 / 4) / 4)


def test_overall_interval_is_wider_where_a_captions_statements_stand_together():
    rng = np.random.default_rng(0)
    together = np.repeat(rng.integers(0, 2, (300, 1)), 10, axis=1)
    apart = rng.integers(0, 2, (300, 10))
    widths = []
    for right in (together, apart):
        result = measure_all(np.ones_like(right), right, [2] * 10, seed=1)
        low, high = result.interval
        assert low < right.mean() < high
        widths.append(high - low)
    # Ten copies tell as much as one: 1.96 times the error of 300 draws.
    assert widths[0] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(300), rel=0.1)
    assert widths[1] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(3000), rel=0.1)


def test_overall_shuffled_tends_to_the_closed_form():
    rng = np.random.default_rng(1)
    stated, read = rng.integers(0, 4, (500, 3)), rng.integers(0, 4, (500, 3))
    agree = [
        np.dot(np.bincount(stated[:, i]) / 500, np.bincount(read[:, i]) / 500)
        for i in range(3)
    ]
    result = measure_all(stated, read, [4, 4, 4], seed=0)
    assert result.shuffled == pytest.approx(np.mean(agree), abs=0.01)


def test_overall_needs_a_statement():
    with pytest.raises(ValueError, match="at least one statement"):
        measure_all(np.full((3, 2), -1), np.zeros((3, 2), int), [2, 2], seed=0)
