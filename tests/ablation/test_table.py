import pytest

from mirrorgan_tf.ablation.sweep import plan_runs, read_sweep
from mirrorgan_tf.ablation.table import summarize, to_markdown
from mirrorgan_tf.config import Config

FID = "FID (lower is better)"
STATED = "attributes as stated, %"


def test_spreads_and_differences_of_equal_seeds_match_hand_computed_values():
    variants = list(read_sweep("paper").values())[:2]
    runs = plan_runs(Config(), variants, ["mirror", "lambda0"], 3)
    values = {"mirror": [2.0, 4.0, 9.0], "lambda0": [1.0, 7.0]}
    reports = {
        f"{name}-seed{seed}": {
            "captions": 100,
            "metrics": {
                "fid": {"autoencoder": {"generated": value}},
                "obedience": {"overall": {"accuracy": value / 10}},
            },
        }
        for name, of_seeds in values.items()
        for seed, value in enumerate(of_seeds, 1)
    }
    table = summarize(runs, reports)
    assert table["missing"] == ["lambda0-seed3"]
    mirror = table["variants"]["mirror"]["figures"][FID]
    # 2, 4, 9: mean 5, squared deviations 9 + 1 + 16 = 26, over n - 1 = 2.
    assert (mirror["mean"], mirror["std"]) == (5.0, pytest.approx(13**0.5))
    # 1 - 2 and 7 - 4: mean 1, squared deviations 4 + 4 = 8, over 1.
    difference = table["variants"]["lambda0"]["differences"][FID]
    assert (difference["mean"], difference["std"]) == (1.0, pytest.approx(8**0.5))
    assert table["variants"]["lambda0"]["figures"][STATED]["mean"] == 40.0
    text = to_markdown(table)
    assert f"| variant | {STATED} | {FID} |" in text
    assert "| mirror | 50.0 ± 36.1 (3) | 5.00 ± 3.61 (3) |" in text
    assert "| lambda0 | +10.0 ± 28.3 (2) | +1.00 ± 2.83 (2) |" in text
    assert "Not finished: lambda0-seed3." in text


def test_single_seed_has_no_spread_and_missing_metrics_have_no_column():
    variants = [read_sweep("paper")["mirror"]]
    runs = plan_runs(Config(), variants, ["mirror"], 1)
    report = {"captions": 100, "metrics": {"fid": {"autoencoder": {"generated": 2.5}}}}
    text = to_markdown(summarize(runs, {"mirror-seed1": report}))
    assert "| mirror | 2.50 (1) |" in text
    assert STATED not in text
