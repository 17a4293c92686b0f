"""Order, sharing and resuming of runs, with fakes of `train` and `evaluate`."""

import json
from pathlib import Path

import pytest

from mirrorgan_tf.ablation.runner import run_ablation
from mirrorgan_tf.ablation.sweep import plan_runs, read_sweep
from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.signals import Stopped

RUNS = ["mirror-seed1", "lambda0-seed1", "mirror-seed2", "lambda0-seed2"]
RECIPE = Config.from_flags(base_size=16, stem_steps=3, stream_steps=4, glam_steps=5)


class FakeCommands:
    """Records calls of `train` and `evaluate` and writes the files that they write."""

    def __init__(self):
        self.calls = []
        self.failures = {}

    def __call__(self, module, *arguments):
        values = dict(argument[2:].split("=", 1) for argument in arguments)
        workdir, command = Path(values["workdir"]), module.split(".")[-1]
        self.calls.append((command, workdir.name))
        if self.calls[-1] in self.failures:
            raise self.failures[self.calls[-1]]
        if command == "train":
            config = read_config(workdir / "flags.cfg")
            (workdir / "vocabulary.txt").write_text("bird\n")
            for stage in values["stages"].split(","):
                checkpoints = StageCheckpoints(workdir / stage, {}, keep=1)
                checkpoints.step.assign(config.stage(stage).steps)
                checkpoints.save()
        else:
            metrics = {"fid": {"autoencoder": {"generated": float(workdir.name[-1])}}}
            Path(values["out"]).mkdir(parents=True)
            text = json.dumps({"captions": 120, "metrics": metrics})
            (Path(values["out"]) / "report.json").write_text(text)


@pytest.fixture
def call():
    return FakeCommands()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished ablation; read only."""
    workdir = tmp_path_factory.mktemp("finished")
    ablate(workdir, FakeCommands())
    return workdir


def ablate(workdir, call, recipe=RECIPE, pretrained=None):
    variants = list(read_sweep("paper").values())[:2]
    runs = plan_runs(recipe, variants, ["mirror", "lambda0"], 2)
    options = {"captions": 120, "evaluate_flags": [], "call": call}
    run_ablation(workdir, recipe, runs, pretrained=pretrained, **options)


def test_stem_and_stream_are_trained_once_and_shared_by_all_runs(tmp_path, call):
    ablate(tmp_path / "work", call)
    expected = [("train", "pretrained")]
    for name in RUNS:
        expected += [("train", name), ("evaluate", name)]
        folder = tmp_path / "work" / "runs" / name
        assert (folder / "stem").samefile(tmp_path / "work" / "pretrained" / "stem")
        assert read_config(folder / "flags.cfg").run.seed == int(name[-1])
    assert call.calls == expected
    report = json.loads((tmp_path / "work" / "report.json").read_text())
    assert report["missing"] == []
    figures = report["variants"]["mirror"]["figures"]["FID (lower is better)"]
    assert figures["values"] == {"1": 1.0, "2": 2.0}
    # A second ablation with the same STEM and STREAM trains none.
    call.calls.clear()
    ablate(tmp_path / "other", call, pretrained=tmp_path / "work" / "pretrained")
    assert call.calls == expected[1:]


def test_ablation_is_resumed_after_a_signal_without_repeating_runs(tmp_path, call):
    call.failures["train", RUNS[2]] = Stopped()
    with pytest.raises(Stopped):
        ablate(tmp_path / "work", call)
    report = json.loads((tmp_path / "work" / "report.json").read_text())
    assert report["missing"] == RUNS[2:]
    call.failures.clear()
    call.calls.clear()
    ablate(tmp_path / "work", call)
    assert call.calls[0] == ("train", RUNS[2])
    assert len(call.calls) == 4
    call.calls.clear()
    ablate(tmp_path / "work", call)
    assert call.calls == []


def test_other_runs_go_on_after_a_failed_one_which_can_be_repeated(tmp_path, call):
    call.failures["evaluate", RUNS[0]] = UserError("no room")
    with pytest.raises(UserError, match=f"not finished: {RUNS[0]};"):
        ablate(tmp_path / "work", call)
    assert ("evaluate", RUNS[3]) in call.calls
    call.failures.clear()
    call.calls.clear()
    ablate(tmp_path / "work", call)
    assert call.calls == [("evaluate", RUNS[0])]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adam_beta1": 0.1}, "--adam_beta1=0.1"),
        ({"glam_steps": 4}, "not finished: mirror-seed1, lambda0-seed1"),
        ({"stem_steps": 9}, "mirror-seed1: --stem_steps=9, but 3 in"),
        ({"stream_hidden_dim": 64}, "--stream_hidden_dim=64, but 512 in"),
        ({"base_size": 32}, "side of the last image in px=128, but 64 in"),
    ],
)
def test_changed_settings_of_existing_runs_are_refused(changes, words, finished):
    with pytest.raises(UserError, match=words):
        ablate(finished, FakeCommands(), RECIPE.replace(**changes))


def test_no_run_begins_after_a_stopped_training_of_stem_and_stream(tmp_path, call):
    def stops_after_stem(module, *arguments):
        call(module, *arguments[:-1], "--stages=stem")

    with pytest.raises(UserError, match="the training of stage stream was stopped"):
        ablate(tmp_path / "work", stops_after_stem)
    assert not (tmp_path / "work" / "runs").exists()
    with pytest.raises(UserError, match="no flags.cfg in it"):
        ablate(tmp_path / "other", call, pretrained=tmp_path)
