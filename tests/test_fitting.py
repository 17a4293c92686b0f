import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import fit
from tests.conftest import eager_functions

SETTINGS = {
    "stem_steps": 2,
    "stream_steps": 1,
    "glam_steps": 1,
    **{f"{stage}_batch_size": 2 for stage in ("stem", "stream", "glam")},
    "strategy": "one_device",
    "mixed_precision": "none",
    "log_every": 1,
}


def examples(count, **changes):
    """A dataset of noise with captions."""
    rng = np.random.default_rng(0)
    columns = {
        "image": rng.integers(0, 256, (count, 40, 48, 3), np.uint8),
        "captions": [[f"a red bird {i}", "black\nwings"] for i in range(count)],
    } | changes
    return tf.data.Dataset.from_tensor_slices(columns)


@pytest.fixture(scope="module")
def fitted(tiny_config, tmp_path_factory):
    """A model of a few steps, its workdir, and what the callback got."""
    workdir = tmp_path_factory.mktemp("fit") / "run"
    reports = []
    with eager_functions():
        model = fit(
            tiny_config,
            dataset=examples(8),
            validation_dataset=examples(2),
            workdir=workdir,
            callbacks=[lambda *report: reports.append(report)],
            **SETTINGS,
        )
    return model, workdir, reports


def test_fit_trains_every_stage_and_reports_its_losses(fitted):
    model, workdir, reports = fitted
    assert model.step == 1 and model.generate("a red bird").shape == (32, 32, 3)
    assert set(model.tokenizer.vocabulary.words) >= {"red", "wings", "7"}
    steps = {stage: step for stage, step, _ in reports}
    assert steps == {"stem": 2, "stream": 1, "glam": 1}
    assert all(np.isfinite(v) for _, _, values in reports for v in values.values())
    assert len(list((workdir / "dataset" / "train").glob("*.png"))) == 8
    caption = (workdir / "dataset" / "val" / "00000001.txt").read_text()
    assert caption == "a red bird 1\nblack wings\n"


def test_fit_does_not_train_a_finished_stage_again(fitted, tiny_config):
    model, workdir, _ = fitted
    reports = []
    # Another dataset changes nothing: the examples are those of the first call.
    repeated = fit(
        tiny_config,
        dataset=examples(1),
        workdir=workdir,
        callbacks=[lambda *report: reports.append(report)],
        **SETTINGS,
    )
    assert not reports and repeated.step == 1
    np.testing.assert_array_equal(
        repeated.generate("red", seed=1), model.generate("red", seed=1)
    )


@pytest.mark.parametrize(
    ("dataset", "settings", "error", "message"),
    [
        ([1], {}, TypeError, r"dataset=\[1\]; expected a tf.data.Dataset"),
        (examples(2).repeat(), {}, ValueError, "dataset is infinite"),
        (examples(2).batch(2), {}, ValueError, "dataset has elements"),
        (examples(2, image=np.zeros((2, 8, 8, 3))), {}, ValueError, "has elements"),
        (examples(2, captions=["", ""]), {}, ValueError, "example 0 has no caption"),
        (examples(2).take(0), {}, ValueError, "dataset is empty"),
        (examples(2), {"glam_steppes": 3}, TypeError, "no setting 'glam_steppes'"),
        (examples(2), {"glam_steps": -1}, ValueError, "--glam_steps=-1"),
    ],
)
def test_unfit_arguments_are_named(
    tiny_config, tmp_path, dataset, settings, error, message
):
    with pytest.raises(error, match=message):
        fit(tiny_config, dataset=dataset, workdir=tmp_path / "run", **settings)
    assert not (tmp_path / "run" / "dataset").exists()


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [("birdlings", ValueError, "no such recipe"), (7, TypeError, "config=7; expected")],
)
def test_unknown_recipes_are_named(tmp_path, config, error, message):
    with pytest.raises(error, match=message):
        fit(config, dataset=examples(2), workdir=tmp_path / "run")


def test_a_workdir_that_is_no_path_is_named(tiny_config):
    with pytest.raises(TypeError, match="workdir=None"):
        fit(tiny_config, dataset=examples(2), workdir=None)


def test_settings_change_those_of_a_recipe(tmp_path):
    with pytest.raises(ValueError, match="--glam_steps=-1"):
        fit("birdlets", examples(2), workdir=tmp_path / "run", glam_steps=-1)
