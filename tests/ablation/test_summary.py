import pytest

from mirrorgan_tf.ablation.summary import (
    FIGURES,
    Difference,
    Spread,
    compare,
    read_figures,
    read_real,
    spread,
)


def test_spread_is_the_samples():
    # 2, 4, 9: mean 5, squares of 3, 1, 4 are 26, over two is 13.
    assert spread([2.0, 4.0, 9.0]) == Spread(5.0, pytest.approx(13**0.5), 3)
    assert spread([7.0]) == Spread(7.0, None, 1)
    with pytest.raises(ValueError, match="empty"):
        spread([])


def test_differences_are_of_equal_seeds():
    mirror = {1: 10.0, 2: 20.0, 3: 30.0}
    # -1 and +3: mean 1, spread the root of (4 + 4) / 1.
    expected = Difference(1.0, pytest.approx(8**0.5), 2, better_in=1)
    assert compare({2: 23.0, 1: 9.0, 7: 99.0}, mirror, higher_is_better=True) == (
        expected
    )
    lower = compare({1: 9.0, 2: 19.0, 3: 29.0}, mirror, higher_is_better=False)
    assert lower == Difference(-1.0, 0.0, 3, better_in=3)
    # Equal is not better.
    assert compare(mirror, mirror, higher_is_better=False).better_in == 0
    assert compare({7: 1.0}, mirror, higher_is_better=True) is None


def test_figures_are_found_in_percent_and_gaps_are_left_out():
    report = {
        "metrics": {
            "obedience": {
                "overall": {"accuracy": 0.5},
                "overall_trusted": None,
                "attributes": {"body_color": {"accuracy": 0.75}},
                "oracle_accuracy": {"body_color": 0.99},
            },
            "fid": {"value": 2.5},
        }
    }
    assert read_figures(report) == {"obedience": 50, "body_color": 75, "fid": 2.5}
    assert read_real(report) == {"body_color": 99}
    assert read_figures(report).keys() <= FIGURES.keys()
