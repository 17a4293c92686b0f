from pathlib import Path

import pytest

from mirrorgan_tf.ablation.variants import VARIANTS, plan_runs
from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError

# Another λ than the paper's, so that no variant can lean on the flags.
BASE = Config.from_flags(base_size=16, redescription_weight=3.0, seed=4)


def differences(one, other):
    one, other = one.to_flags(), other.to_flags()
    return {name: one[name] for name in one if one[name] != other[name]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mirror", {}),
        ("lambda0", {"redescription_weight": 0.0}),
        ("lambda5", {"redescription_weight": 5.0}),
        ("lambda10", {"redescription_weight": 10.0}),
        ("no_global_attention", {"sentence_attention": False}),
        (
            "lambda0_no_global_attention",
            {"redescription_weight": 0.0, "sentence_attention": False},
        ),
        (
            "attngan",
            {
                "redescription_weight": 0.0,
                "damsm_weight": 5.0,
                "sentence_attention": False,
            },
        ),
        ("stages1", {"base_size": 64, "scales": 1}),
        ("stages2", {"base_size": 32, "scales": 2}),
        ("damsm", {"damsm_weight": 5.0}),
        ("hinge", {"adversarial_loss": "hinge"}),
        ("r1", {"r1_weight": 1.0}),
        ("spectral_norm", {"spectral_norm": True}),
        ("diff_augment", {"augment": "translation,cutout"}),
        ("all_scales", {"redescribe": "all"}),
    ],
)
def test_a_variant_differs_in_what_it_says_and_in_nothing_else(name, expected):
    config = VARIANTS[name].configure(BASE, 4)
    assert differences(config, VARIANTS["mirror"].configure(BASE, 4)) == expected
    assert config.sizes[-1] == BASE.sizes[-1]


def test_all_variants_are_tested_above():
    assert len(VARIANTS) == 15


def test_mirror_is_the_papers_whatever_the_flags_say():
    base = BASE.replace(
        damsm_weight=1.0, sentence_attention=False, adversarial_loss="hinge"
    )
    config = VARIANTS["mirror"].configure(base, 7)
    assert config.losses.redescription_weight == 20
    assert (config.losses.damsm_weight, config.losses.adversarial_loss) == (
        0,
        "cross_entropy",
    )
    assert config.generator.word_attention and config.generator.sentence_attention
    assert config.run.seed == 7


def names(**changes):
    asked = {
        "variants": ["lambda5", "mirror", "lambda0"],
        "repeated": ["mirror", "lambda0"],
        "seeds": 2,
    }
    runs = plan_runs(BASE, Path("runs"), **asked | changes)
    assert all(run.config.run.seed == run.seed for run in runs)
    assert all(run.folder == Path("runs") / run.name for run in runs)
    return [run.name for run in runs]


def test_what_matters_most_comes_first():
    assert names() == [
        "mirror-seed4",
        "lambda0-seed4",
        "mirror-seed5",
        "lambda0-seed5",
        "lambda5-seed4",
    ]
    assert names(seeds=1) == ["mirror-seed4", "lambda0-seed4", "lambda5-seed4"]
    assert names(variants=["stages1"]) == ["stages1-seed4"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variants": ["gan"]}, "--variants=gan: 'gan' is no variant; choose from mi"),
        ({"repeated": ["mirror", "x"]}, "--repeated=mirror,x: 'x' is no variant"),
        ({"variants": ["mirror", "mirror"]}, "stands there twice"),
    ],
)
def test_wrong_names_are_told(changes, words):
    with pytest.raises(UserError, match=words):
        names(**changes)


def test_flags_without_room_for_the_stages_are_refused():
    small = BASE.replace(scales=1)
    with pytest.raises(UserError, match="--base_size=8"):
        VARIANTS["stages2"].configure(small, 1)
