import os
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from mirrorgan_tf.ablation.__main__ import define_flags
from mirrorgan_tf.ablation.variants import CLAIMS, RECIPES, plan_runs
from mirrorgan_tf.config import config_flags
from tests.conftest import OTHER_KERAS_SETTINGS

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mirrorgan_tf.ablation", *arguments],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "variants", "repeated"),
    [
        ("ablation", CLAIMS, {"mirror", "lambda0"}),
        ("recipes", ["mirror", *RECIPES], {"mirror", "damsm"}),
    ],
)
def test_a_flagfile_plans_all_its_variants(name, variants, repeated):
    asked = flags.FlagValues()
    define_flags(asked)
    asked(["ablation", f"--flagfile={ROOT / 'flags' / f'{name}.cfg'}"])
    assert asked.workdir == f"runs/{name}"
    base = config_flags.config_from_flags(asked)
    chosen = {"variants": asked.variants, "repeated": asked.repeated}
    runs = plan_runs(base, Path(), seeds=asked.seeds, **chosen)
    seeds = {variant: set() for variant in variants}
    for planned in runs:
        seeds[planned.variant.name].add(planned.seed)
    assert {variant for variant, of in seeds.items() if len(of) == 3} == repeated
    assert all(of for of in seeds.values())


def test_the_best_recipe_is_the_one_that_was_compared():
    asked = flags.FlagValues()
    define_flags(asked)
    asked(["ablation", f"--flagfile={ROOT / 'flags' / 'birdlets_best.cfg'}"])
    best = config_flags.config_from_flags(asked)
    assert RECIPES["damsm"].configure(best, best.run.seed) == best


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--dataset=coco", "error: --dataset=coco: the ablation is of birdlets"),
        ("--variants=gan", "error: --variants=gan: 'gan' is no variant"),
        ("--evaluate_captions=99", "--evaluate_captions=99"),
    ],
)
def test_bad_flags_are_one_line_and_touch_nothing(argument, words, tmp_path):
    refused = run(f"--workdir={tmp_path}/work", argument)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ") and refused.stderr.count("\n") == 1
    assert words in refused.stderr
    assert not (tmp_path / "work").exists()
