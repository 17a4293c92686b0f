"""Order, sharing and resuming of runs; the commands themselves are faked."""

import json
from pathlib import Path

import numpy as np
import pytest

from mirrorgan_tf.ablation.running import Ablation
from mirrorgan_tf.ablation.variants import VARIANTS, plan_runs
from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.pictures import save_image
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.signals import Stopped

NAMES = ["mirror", "lambda0", "stages1"]
ORDER = ["mirror-seed1", "lambda0-seed1", "mirror-seed2", "lambda0-seed2"]
ORDER += ["stages1-seed1"]


class Commands:
    """`train` and `evaluate` in name only: they write what the real ones would."""

    def __init__(self):
        self.calls = []
        self.failing = {}

    def __call__(self, module, *arguments):
        asked = dict(argument[2:].split("=", 1) for argument in arguments)
        path = Path(asked["workdir"])
        command, name = module.split(".")[-1], path.name
        self.calls.append((command, name))
        if (command, name) in self.failing:
            raise self.failing[command, name]
        if command == "train":
            config = read_config(path / "flags.cfg")
            (path / "vocabulary.txt").write_text("bird\n")
            for stage in asked["stages"].split(","):
                checkpoints = StageCheckpoints(path / stage, {}, keep=1)
                checkpoints.step.assign(config.stage(stage).steps)
                checkpoints.save()
        else:
            self.evaluate(Path(asked["out"]), *name.split("-seed"))

    def evaluate(self, out, variant, seed):
        obeyed = {"mirror": 0.5, "lambda0": 0.25, "stages1": 0.125}[variant]
        report = {
            "captions": 120,
            "real_images": 40,
            "samples": {"random": [3], "captions": {"3": "a red bird"}},
            "metrics": {
                "obedience": {"overall": {"accuracy": obeyed + int(seed) / 100}},
                "fid": {"value": 2.0 * int(seed)},
                "r_precision": {},
                "redescription": {},
            },
        }
        save_image(np.zeros((8, 8, 3), np.uint8), out / "images" / "000003.png")
        (out / "report.json").write_text(json.dumps(report))


@pytest.fixture
def commands():
    return Commands()


@pytest.fixture
def base(tmp_path):
    return Config.from_flags(
        data_dir=str(tmp_path / "data"),
        birdlets_train_images=2,
        birdlets_val_images=1,
        base_size=16,
        stem_steps=3,
        stream_steps=4,
        glam_steps=5,
    )


def ablate(workdir, base, commands, judges=None, names=NAMES):
    runs = plan_runs(
        base,
        workdir / "runs",
        variants=names,
        repeated=["mirror", "lambda0"],
        seeds=2,
    )
    Ablation(
        workdir,
        base,
        runs,
        variants=[VARIANTS[name] for name in names],
        judges=judges,
        captions=120,
        call=commands,
    ).run()


def trained(commands):
    return [name for command, name in commands.calls if command == "train"]


def test_judges_once_then_every_run_and_all_in_the_report(tmp_path, base, commands):
    work = tmp_path / "work"
    ablate(work, base, commands)
    assert trained(commands) == ["judges", *ORDER]
    assert [name for kind, name in commands.calls if kind == "evaluate"] == ORDER
    for name in ORDER:
        run = work / "runs" / name
        assert (run / "stem" / "ckpt-3.index").read_bytes() == (
            work / "judges" / "stem" / "ckpt-3.index"
        ).read_bytes()
        assert read_config(run / "flags.cfg").seed == int(name[-1])
    report = json.loads((work / "report.json").read_text())
    assert report["missing"] == []
    mirror, lambda0, stages1 = (report["variants"][name] for name in NAMES)
    # 51 and 52 %.
    np.testing.assert_allclose(mirror["figures"]["obedience"]["mean"], 51.5)
    np.testing.assert_allclose(mirror["figures"]["obedience"]["std"], 0.5**0.5)
    assert mirror["against_mirror"] == {}
    against = lambda0["against_mirror"]["obedience"]
    np.testing.assert_allclose([against["mean"], against["std"]], [-25, 0], atol=1e-9)
    assert (against["seeds"], against["better_in"]) == (2, 0)
    assert stages1["seeds"] == [1]
    text = (work / "report.md").read_text()
    row = "| mirror: the paper's MirrorGAN, λ = 20 | 2 | 51.5 ± 0.7 | 3.00 ± 1.41 |"
    assert row in text
    assert "| lambda0 | 2 | -25.0 ± 0.0 (0) | +0.00 ± 0.00 (0) |" in text
    assert "| stages1 | 1 | -37.5 (0) | +0.00 (0) |" in text
    assert "backbone of STREAM and DAMSM has learned the same labels" in text
    for picture in ("plot.png", "images.png"):
        assert (work / picture).stat().st_size > 500

    # Given again, nothing is left; without one report, that one.
    commands.calls.clear()
    ablate(work, base, commands)
    assert commands.calls == []
    (work / "runs" / ORDER[1] / "evaluation" / "step5-120captions").rename(work / "x")
    ablate(work, base, commands)
    assert commands.calls == [("train", ORDER[1]), ("evaluate", ORDER[1])]
    # Of other flags it is refused, and of fewer steps.
    with pytest.raises(UserError, match="--adam_beta1=0.1"):
        ablate(work, base.replace(adam_beta1=0.1), commands)
    with pytest.raises(UserError, match="for 5 steps, more than --glam_steps=4"):
        ablate(work, base.replace(glam_steps=4), commands)
    with pytest.raises(UserError, match=r"--stem_steps=9 \(was 3\): mirror-seed1 has"):
        ablate(work, base.replace(stem_steps=9), commands)


def test_a_stopped_ablation_is_worth_reading_and_goes_on(tmp_path, base, commands):
    work = tmp_path / "work"
    commands.failing["train", ORDER[2]] = Stopped()
    with pytest.raises(Stopped):
        ablate(work, base, commands)
    assert trained(commands) == ["judges", *ORDER[:3]]
    report = json.loads((work / "report.json").read_text())
    assert report["missing"] == ORDER[2:]
    assert "2 of 5 runs" in (work / "report.md").read_text()
    commands.failing.clear()
    commands.calls.clear()
    ablate(work, base, commands)
    assert trained(commands) == ORDER[2:]


def test_judges_that_were_stopped_are_not_copied(tmp_path, base, commands):
    def stopped(module, *arguments):
        stages = [argument for argument in arguments if "--stages" not in argument]
        commands(module, *stages, "--stages=stem")

    work = tmp_path / "work"
    with pytest.raises(UserError, match="STEM and STREAM was stopped"):
        ablate(work, base, stopped)
    assert not (work / "runs").exists()
    ablate(work, base, commands, names=["mirror"])
    assert trained(commands)[-2:] == ["mirror-seed1", "mirror-seed2"]


def test_a_run_that_fails_stops_no_other(tmp_path, base, commands):
    work = tmp_path / "work"
    commands.failing["evaluate", ORDER[0]] = UserError("no room")
    with pytest.raises(UserError, match="not finished: mirror-seed1;"):
        ablate(work, base, commands)
    assert trained(commands) == ["judges", *ORDER]
    report = json.loads((work / "report.json").read_text())
    assert report["missing"] == ORDER[:1]


def test_judges_of_a_finished_run_are_taken_if_they_fit(tmp_path, base, commands):
    ablate(tmp_path / "one", base, commands, names=["mirror"])
    commands.calls.clear()
    judges = tmp_path / "one" / "judges"
    # GLAM's settings don't matter to them.
    other = base.replace(generator_width=8)
    ablate(tmp_path / "two", other, commands, judges, names=["lambda0"])
    assert trained(commands) == ["lambda0-seed1", "lambda0-seed2"]
    other = base.replace(stream_hidden_dim=64)
    with pytest.raises(UserError, match=r"--stream_hidden_dim=64 \(was 512\)"):
        ablate(tmp_path / "three", other, commands, judges)
    with pytest.raises(UserError, match="no flags.cfg in it"):
        ablate(tmp_path / "three", base, commands, tmp_path)
    # Runs of other judges are not gone on with.
    with pytest.raises(UserError, match="is not that of .*all runs must share"):
        base = base.replace(stem_steps=2)
        ablate(tmp_path / "four", base, commands)
        ablate(tmp_path / "four", base, commands, judges)
