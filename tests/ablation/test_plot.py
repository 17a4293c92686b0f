import numpy as np

from mirrorgan_tf.ablation.plot import MEAN, POINT, REAL, Panel, dot_plot


def columns(sheet, colour, rows=slice(None)):
    """The middle of what has a colour, from left to right, as x-coordinates."""
    found = np.flatnonzero(np.all(sheet[rows] == colour, axis=-1).any(axis=0))
    groups = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    return [float(np.mean(group)) for group in groups if len(group)]


def test_points_means_and_the_real_value_stand_where_their_values_say():
    panel = Panel("%", {"a": [10.0, 20.0], "b": [40.0], "c": []}, real=50.0)
    sheet = dot_plot([panel], ["a", "b", "c"])
    # Above the key, which shows the same things.
    above = sheet[:-30]
    ten, twenty, forty = columns(above, POINT)
    scale = (forty - ten) / 30
    np.testing.assert_allclose(twenty, ten + 10 * scale, atol=1)
    (real,) = columns(above, REAL)
    np.testing.assert_allclose(real, forty + 10 * scale, atol=1.5)
    mean_of_a = ten + 5 * scale
    assert any(abs(x - mean_of_a) < 2 for x in columns(above, MEAN))
    # In different rows, the first above the second.
    rows_of = [
        np.flatnonzero(np.all(above[:, round(x)] == POINT, axis=-1)).mean()
        for x in (ten, twenty, forty)
    ]
    assert rows_of[0] == rows_of[1] < rows_of[2]


def test_panels_share_rows_and_stand_side_by_side():
    rows = ["a", "b"]
    one = dot_plot([Panel("x", {"a": [1.0], "b": [2.0]})], rows)
    two = dot_plot([Panel("x", {"a": [1.0], "b": [2.0]})] * 2, rows)
    assert two.shape[0] == one.shape[0]
    first, second = columns(one[:-30], POINT), columns(two[:-30], POINT)
    assert len(second) == 4
    np.testing.assert_allclose(second[:2], first)
    shift = second[2] - second[0]
    np.testing.assert_allclose(np.array(second[2:]) - shift, first)


def test_equal_values_and_none_at_all_are_drawn():
    sheet = dot_plot([Panel("x", {"a": [0.0]}), Panel("y", {})], ["a"])
    assert len(columns(sheet[:-30], POINT)) == 1
