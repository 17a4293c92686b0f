"""Trains and evaluates the runs of an ablation, one after the other.

Training and evaluation are the commands `train` and `evaluate`. Each is started in a
process of its own, so that a run does not depend on the runs before it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import logging

from mirrorgan_tf.ablation.sweep import Run
from mirrorgan_tf.ablation.table import summarize, to_markdown
from mirrorgan_tf.config import SETTINGS, Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_folder, write_atomically
from mirrorgan_tf.training.checkpoints import check_trained, saved_step
from mirrorgan_tf.training.signals import Stopped
from mirrorgan_tf.workdir import (
    FLAGS_FILE,
    VOCABULARY_FILE,
    lock_workdir,
    start_workdir,
)

__all__ = ["run_ablation", "run_command"]

# Settings that STEM and STREAM depend on: whole groups except for the free flags, and
# flags of other groups.
_FROZEN_GROUPS = {"data", "birdlets", "text", "encoders", "backbone", "stem", "stream"}
_FROZEN_FLAGS = {"gamma1", "gamma2", "gamma3"}
_FREE_FLAGS = {"frozen_view_shift"}


def run_ablation(
    workdir: Path,
    recipe: Config,
    runs: Sequence[Run],
    *,
    pretrained: Path | None,
    captions: int,
    evaluate_flags: Sequence[str],
    call: Callable[..., None] | None = None,
) -> None:
    """Carries out the unfinished runs; the report is written after every run.

    Args:
        workdir: folder of the ablation.
        recipe: the settings that variants change.
        runs: in the order in which they are carried out.
        pretrained: a run whose STEM and STREAM all runs share; None: they are trained
            in `workdir/pretrained`.
        captions: the most captions to generate images from in each run's evaluation.
        evaluate_flags: further flags of `evaluate`, the same for all runs.
        call: runs a command of the package; default `run_command`.

    Raises:
        UserError: files are missing, broken or of other settings, or runs failed; all
            other runs are finished in that case.
        Stopped: a signal has come; finished work is saved.
    """
    call = call or run_command
    failed = []
    with lock_workdir(workdir):
        folders = {run.name: workdir / "runs" / run.name for run in runs}
        evaluation = f"evaluation/step{recipe.glam.steps}-{captions}captions"
        if pretrained is None:
            pretrained = workdir / "pretrained"
            if not any(folder.exists() for folder in folders.values()):
                logging.info("STEM and STREAM, which all runs share")
                start_workdir(pretrained, recipe)
                _train(pretrained, [s for s in recipe.stages if s != "glam"], call)
        _check_shared_settings(pretrained, runs)
        for run in runs:
            _prepare(folders[run.name], run.config, pretrained)
        for number, run in enumerate(runs, 1):
            folder = folders[run.name]
            if _read_report(folder / evaluation) is None:
                logging.info("run %d of %d: %s", number, len(runs), run.name)
                try:
                    _train(folder, ["glam"], call)
                    call(
                        "mirrorgan_tf.evaluate",
                        f"--workdir={folder}",
                        f"--out={folder / evaluation}",
                        f"--evaluate_captions={captions}",
                        *evaluate_flags,
                    )
                except UserError as error:
                    logging.error("%s: %s", run.name, error)
                    failed.append(run.name)
            _write_table(workdir, runs, evaluation)
    if failed:
        raise UserError(
            f"not finished: {', '.join(failed)}; the reasons are above; repeat the "
            "command to finish them"
        )
    logging.info("done: %s", workdir / "report.md")


def run_command(module: str, *arguments: str) -> None:
    """Runs `python -m module`; a signal to this process stops it too.

    Raises:
        UserError: its exit status is not 0.
        Stopped: a signal has come, and the command has ended.
    """
    # A new session: otherwise Ctrl-C would reach the command twice, from the terminal
    # and from here.
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], start_new_session=True
    )
    try:
        status = process.wait()
    except Stopped:
        process.terminate()
        process.wait()
        raise
    if status:
        raise UserError(f"python -m {module} ended with status {status}")


def _train(folder, stages, call):
    """Trains those stages of a run that are not finished."""
    config = read_config(folder / FLAGS_FILE)
    unfinished = [stage for stage in stages if _steps_left(folder, config, stage) > 0]
    if unfinished:
        call(
            "mirrorgan_tf.train",
            f"--flagfile={folder / FLAGS_FILE}",
            f"--workdir={folder}",
            f"--stages={','.join(unfinished)}",
        )
    for stage in stages:
        left = _steps_left(folder, config, stage)
        if left > 0:
            # After a signal `train` ends with status 0, as after the last step.
            raise UserError(f"{folder}: the training of stage {stage} was stopped")
        if left < 0:
            raise UserError(
                f"{folder}: stage {stage} is trained for {-left} steps more than "
                f"--{stage}_steps; raise it or choose another --workdir"
            )


def _steps_left(folder, config, stage):
    return config.stage(stage).steps - saved_step(folder / stage)


def _check_shared_settings(pretrained, runs):
    """Raises UserError if STEM or STREAM would differ for the settings of a run."""
    if not (pretrained / FLAGS_FILE).is_file():
        raise UserError(f"{pretrained}: no {FLAGS_FILE} in it; it has no training")
    for stage in ("stem", "stream"):
        check_trained(pretrained / stage)
    expected = _frozen_settings(read_config(pretrained / FLAGS_FILE))
    for run in runs:
        for name, value in _frozen_settings(run.config).items():
            if value != expected[name]:
                raise UserError(
                    f"{run.name}: {name}={value}, but {expected[name]} in "
                    f"{pretrained}, whose STEM and STREAM all runs share"
                )


def _frozen_settings(config):
    values = config.to_flags()
    return {
        f"--{setting.flag}": values[setting.flag]
        for setting in SETTINGS
        if setting.flag in _FROZEN_FLAGS
        or (
            setting.group in _FROZEN_GROUPS
            and setting.flag not in _FREE_FLAGS
            and (not setting.runtime or setting.flag.endswith("_steps"))
        )
    } | {"side of the last image in px": config.sizes[-1]}


def _prepare(path, config, pretrained):
    """Creates a run's folder, in which STEM and STREAM are links to the shared ones."""
    if not path.exists():
        try:
            with atomic_folder(path) as folder:
                folder.mkdir()
                for stage in ("stem", "stream"):
                    shared = os.path.relpath(pretrained / stage, path)
                    (folder / stage).symlink_to(shared, target_is_directory=True)
                shutil.copy2(pretrained / VOCABULARY_FILE, folder)
        except OSError as error:
            raise UserError(f"{path}: can't be written ({error})") from None
    start_workdir(path, config)
    for stage in ("stem", "stream"):
        if not (path / stage).samefile(pretrained / stage):
            raise UserError(
                f"{path / stage} is not the one of {pretrained}; choose another "
                "--workdir"
            )


def _read_report(folder):
    """The report of an evaluation; None if the evaluation is not finished."""
    try:
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write_table(workdir, runs, evaluation):
    reports = {
        run.name: report
        for run in runs
        if (report := _read_report(workdir / "runs" / run.name / evaluation))
    }
    if not reports:
        return
    table = summarize(runs, reports)
    try:
        text = json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(workdir / "report.json", text)
        write_atomically(workdir / "report.md", to_markdown(table))
    except OSError as error:
        raise UserError(f"{workdir}: the report can't be written ({error})") from None
