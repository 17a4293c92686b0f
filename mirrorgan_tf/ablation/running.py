"""One run after the other: trained, judged, and entered in the report.

Training and evaluation are the commands `train` and `evaluate`, each in a process of
its own: no run inherits anything from the one before.
"""

import datetime
import filecmp
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import logging

from mirrorgan_tf.ablation.report import write_report
from mirrorgan_tf.ablation.summary import METRICS
from mirrorgan_tf.ablation.variants import Run, Variant
from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.sources import open_dataset
from mirrorgan_tf.files import whole_folder, write_whole
from mirrorgan_tf.options import read_config
from mirrorgan_tf.training.checkpoints import check_trained, saved_step
from mirrorgan_tf.training.signals import Stopped
from mirrorgan_tf.workdir import (
    FLAGS_FILE,
    VOCABULARY_FILE,
    hold_workdir,
    start_workdir,
)

__all__ = ["Ablation", "call_command"]

_FROZEN = ("stem", "stream")
# Choice of captions and noise, the same for all.
_EVALUATION_SEED = 1
_TIMES_FILE = "seconds.json"
# Settings that STEM and STREAM depend on, besides those that bear their names.
_SHARED = (
    "dataset",
    "birdlets_train_images",
    "birdlets_val_images",
    "flip",
    "max_words",
    "min_word_count",
    "embedding_dim",
    "words_dim",
    "image_encoder",
    "image_encoder_weights",
    "small_width",
    "gamma1",
    "gamma2",
    "gamma3",
)


class Ablation:
    """All runs of an ablation in one folder."""

    def __init__(
        self,
        workdir: Path,
        base: Config,
        runs: Sequence[Run],
        *,
        variants: Sequence[Variant],
        judges: Path | None,
        captions: int,
        call: Callable[..., None] | None = None,
    ):
        """Plans; nothing is read or written yet.

        Args:
            workdir: folder of everything.
            base: the flags.
            runs: in their order.
            variants: in the tables' order.
            judges: a finished run whose STEM and STREAM are taken; None: they are
                trained in `workdir`.
            captions: to draw, at most.
            call: runs a command of the package; default `call_command`.
        """
        self._workdir = workdir
        self._base = base
        self._runs = runs
        self._variants = variants
        self._trains_judges = judges is None
        self._judges = workdir / "judges" if judges is None else judges
        self._captions = captions
        self._call = call or call_command
        self._failures: list[str] = []

    def run(self) -> None:
        """Does what is left; the report is written after every run.

        Raises:
            UserError: something is missing or of other flags, or runs failed: the
                others are finished by then.
            Stopped: by a signal; what is done is saved.
        """
        with hold_workdir(self._workdir):
            open_dataset(self._base)
            self._obtain_judges()
            for run in self._runs:
                self._prepare(run)
            left = [run for run in self._runs if not self._finished(run)]
            for place, run in enumerate(left):
                self._report()
                self._announce(run, left[place:])
                self._do(run)
            self._report()
        if self._failures:
            raise UserError(
                f"not finished: {', '.join(self._failures)}; what each said last says "
                "why; mend it, and the same command does what is left"
            )
        logging.info("done: %s", self._workdir / "report.md")

    def _obtain_judges(self):
        if self._trains_judges:
            self._train_judges()
        else:
            self._check_judges()

    def _train_judges(self):
        """Trains STEM and STREAM, unless they are trained."""
        start_workdir(self._judges, self._base)
        steps = {stage: getattr(self._base, f"{stage}_steps") for stage in _FROZEN}
        done = {stage: saved_step(self._judges / stage) for stage in _FROZEN}
        behind = [stage for stage in _FROZEN if done[stage] < steps[stage]]
        if not behind:
            return
        begun = [run.name for run in self._runs if run.folder.exists()]
        if begun:
            # Trained on, they would be others than those of these runs.
            raise UserError(
                f"--{behind[0]}_steps={steps[behind[0]]} (was {done[behind[0]]}): "
                f"{begun[0]} has begun with what was trained; take it back or choose "
                "another --workdir"
            )
        logging.info("training STEM and STREAM, which all runs share")
        self._train(self._judges, _FROZEN)

    def _check_judges(self):
        """Checks that those given are trained, and of these flags."""
        if not (self._judges / FLAGS_FILE).is_file():
            raise UserError(
                f"--judges={self._judges}: no {FLAGS_FILE} in it; give the --workdir "
                "of a training"
            )
        for stage in _FROZEN:
            check_trained(self._judges / stage)
        theirs = _of_judges(read_config(self._judges / FLAGS_FILE))
        changed = [
            f"{name}={value} (was {theirs[name]})"
            for name, value in _of_judges(self._base).items()
            if value != theirs[name]
        ]
        if changed:
            raise UserError(
                f"--judges={self._judges}: a run of other flags: {', '.join(changed)}; "
                "take those back or leave --judges out"
            )

    def _prepare(self, run):
        """Makes a run's folder with the judges in it, or checks the one there."""
        if not run.folder.exists():
            with whole_folder(run.folder) as folder:
                folder.mkdir()
                for stage in _FROZEN:
                    shutil.copytree(
                        self._judges / stage,
                        folder / stage,
                        copy_function=_link_or_copy,
                    )
                shutil.copy2(self._judges / VOCABULARY_FILE, folder)
        for stage in _FROZEN:
            if not _same_checkpoints(self._judges / stage, run.folder / stage):
                raise UserError(
                    f"{run.folder / stage} is not that of {self._judges}, which all "
                    "runs must share; choose another --workdir"
                )
        start_workdir(run.folder, run.config)
        done = saved_step(run.folder / "glam")
        if done > run.config.glam_steps:
            raise UserError(
                f"{run.folder} is trained for {done} steps, more than --glam_steps="
                f"{run.config.glam_steps}; raise it or choose another --workdir"
            )

    def _do(self, run):
        """Trains and evaluates; a failure is remembered and stops no other run."""
        since = time.monotonic()
        try:
            self._train(run.folder, ("glam",))
            if saved_step(run.folder / "glam") < run.config.glam_steps:
                raise UserError("its training was stopped")
            self._call(
                "mirrorgan_tf.evaluate",
                f"--workdir={run.folder}",
                f"--out={self._evaluation(run)}",
                f"--oracle={self._workdir / 'oracle'}",
                "--features=oracle",
                f"--metrics={','.join(METRICS)}",
                f"--evaluate_captions={self._captions}",
                f"--seed={_EVALUATION_SEED}",
                # Not asked for; the least that can be had.
                "--diversity_captions=1",
                "--diversity_seeds=2",
            )
        except UserError as error:
            logging.error("%s: %s", run.name, error)
            self._failures.append(run.name)
        finally:
            self._add_time(run, time.monotonic() - since)

    def _train(self, folder, stages):
        self._call(
            "mirrorgan_tf.train",
            f"--flagfile={folder / FLAGS_FILE}",
            f"--workdir={folder}",
            f"--stages={','.join(stages)}",
        )

    def _evaluation(self, run):
        return (
            run.folder
            / "evaluation"
            / f"step{run.config.glam_steps}-{self._captions}captions"
        )

    def _finished(self, run):
        """The report of an evaluation that lacks nothing, else None."""
        try:
            text = (self._evaluation(run) / "report.json").read_text(encoding="utf-8")
            report = json.loads(text)
            complete = set(METRICS) <= report["metrics"].keys()
        except (OSError, ValueError, KeyError):
            return None
        return report if complete else None

    def _report(self):
        finished = [
            (run, self._evaluation(run), report)
            for run in self._runs
            if (report := self._finished(run))
        ]
        if finished:
            write_report(
                self._workdir,
                finished,
                variants=self._variants,
                planned=self._runs,
                seconds=self._times(),
            )

    def _announce(self, run, left):
        spent = self._times()
        known = [
            spent[other.name]
            for other in self._runs
            if other.name in spent and self._finished(other)
        ]
        eta = "?"
        if known:
            # What this run has had already counts.
            mean = sum(known) / len(known)
            first = max(mean - spent.get(run.name, 0), 0)
            eta = datetime.timedelta(seconds=round(first + mean * (len(left) - 1)))
        logging.info(
            "run %d of %d: %s | ETA %s",
            self._runs.index(run) + 1,
            len(self._runs),
            run.name,
            eta,
        )

    def _times(self):
        try:
            return json.loads((self._workdir / _TIMES_FILE).read_text("utf-8"))
        except (OSError, ValueError):
            return {}

    def _add_time(self, run, seconds):
        times = self._times()
        times[run.name] = times.get(run.name, 0) + seconds
        write_whole(self._workdir / _TIMES_FILE, json.dumps(times, indent=1))


def call_command(module: str, *arguments: str) -> None:
    """`python -m module`, with its output on ours; a signal stops it as it would us.

    Raises:
        UserError: its exit status is not 0.
        Stopped: a signal has come, and the command has ended.
    """
    # A session of its own: the terminal's Ctrl-C would come twice.
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


def _of_judges(config):
    """What STEM and STREAM depend on: flags, and the side of their images."""
    return {
        f"--{name}": value
        for name, value in config.fixed_settings().items()
        if name in _SHARED or name.startswith(("stem_", "stream_"))
    } | {"side of the last image": config.sizes[-1]}


def _same_checkpoints(one, other):
    """Whether two folders hold the same; an index holds checksums of all tensors."""
    names = sorted(path.name for path in one.glob("*.index"))
    if names != sorted(path.name for path in other.glob("*.index")):
        return False
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


def _link_or_copy(source, target):
    """Checkpoints are never written into: a link to one is as good as a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
