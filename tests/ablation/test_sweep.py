import pytest
from absl import flags

from mirrorgan_tf.ablation.__main__ import define_flags
from mirrorgan_tf.ablation.sweep import plan_runs, read_sweep
from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import config_from_flags
from mirrorgan_tf.config.flagfiles import expand_flagfiles
from mirrorgan_tf.errors import UserError

RECIPE = Config.from_flags(base_size=16, redescription_weight=3.0, seed=4)


def changed_flags(variant, recipe):
    before, after = recipe.to_flags(), variant.configure(recipe, recipe.run.seed)
    return {
        name: value for name, value in after.to_flags().items() if value != before[name]
    }


@pytest.mark.parametrize("name", ["paper", "after_2019", "redescription"])
def test_variants_of_the_package_change_only_the_flags_they_name(name):
    variants = list(read_sweep(name).values())
    baseline = variants[0].configure(RECIPE, 4)
    assert variants[0].name in ("mirror", "recipe")
    for variant in variants[1:]:
        own = variant.arguments[len(variants[0].arguments) :]
        names = {flag.split("=")[0].removeprefix("--") for flag in own}
        names |= {name.removeprefix("no") for name in names}
        assert changed_flags(variant, baseline).keys() <= names
        assert changed_flags(variant, baseline)
        if not variant.name.startswith("stages"):
            assert variant.configure(RECIPE, 4).sizes == RECIPE.sizes


def test_sweep_of_the_paper_replaces_later_techniques_of_the_recipe():
    recipe = Config.from_flags(
        damsm_weight=1.0,
        r1_weight=1.0,
        r1_every=16,
        adversarial_loss="hinge",
        feature_discriminator="image_encoder",
        discriminator_normalization=False,
        frozen_view_shift=0.1,
        generator_inner_width=64,
        augment="color",
        spectral_norm=True,
        sentence_attention=False,
    )
    config = read_sweep("paper")["mirror"].configure(recipe, 7)
    # The defaults are the paper's settings.
    assert config == Config.from_flags(seed=7)


def test_plan_runs_lists_repeated_variants_for_every_seed():
    sweep = read_sweep("paper")
    variants = [sweep[name] for name in ("mirror", "lambda5", "lambda0")]
    runs = plan_runs(RECIPE, variants, ["mirror", "lambda0"], 2)
    assert [run.name for run in runs] == [
        "mirror-seed4",
        "lambda5-seed4",
        "lambda0-seed4",
        "mirror-seed5",
        "lambda0-seed5",
    ]
    assert all(run.config.run.seed == run.seed for run in runs)


def test_the_recipe_ablation_plans_thirteen_runs_of_64_px():
    values = flags.FlagValues()
    define_flags(values)
    values(["ablation", *expand_flagfiles(["--recipe=ablation"])])
    variants = list(read_sweep(values.sweep).values())
    recipe = config_from_flags(values)
    runs = plan_runs(recipe, variants, values.repeated, values.seeds)
    assert len(runs) == 13
    assert {run.config.sizes[-1] for run in runs} == {64}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a", "line 2: expected 'name | description | flags'"),
        ("a b | c", "line 2: expected"),
        ("a | b | c | d", "line 2: expected"),
        ("a | b | --scales='1", "line 2: No closing quotation"),
        ("a | b\na | c", "line 3: 'a' occurs twice"),
        ("all | | --scales=1", "sweep.txt: has no variant"),
        ("a | b | --nonsense=1", "variant a: Unknown command line flag 'nonsense'"),
        ("a | b | --scales=9", "--scales=9"),
        ("a | b | scales=1", "variant a: not a flag: 'scales=1'"),
    ],
)
def test_malformed_sweeps_are_refused_in_one_line(line, words, tmp_path):
    path = tmp_path / "sweep.txt"
    path.write_text(f"# a comment\n{line}\n")
    with pytest.raises(UserError, match=words.replace("|", r"\|")):
        for variant in read_sweep(str(path)).values():
            variant.configure(RECIPE, 1)


def test_an_unknown_sweep_names_those_of_the_package():
    with pytest.raises(UserError, match="choose from after_2019, paper, redescription"):
        read_sweep("nonsense")
