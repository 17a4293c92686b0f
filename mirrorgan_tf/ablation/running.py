"""One run after the other: trained, judged, and entered in the report.

Training and evaluation are the commands `train` and `evaluate`, each in a process of
its own: no run inherits anything from the one before.
"""

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import logging

from mirrorgan_tf.ablation.judges import begin_with, check_finished, stages_behind
from mirrorgan_tf.ablation.report import write_report
from mirrorgan_tf.ablation.summary import METRICS
from mirrorgan_tf.ablation.variants import Run, Variant
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.sources import open_dataset
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import write_whole
from mirrorgan_tf.training.checkpoints import saved_step
from mirrorgan_tf.training.progress import tolerant
from mirrorgan_tf.training.signals import Stopped
from mirrorgan_tf.workdir import FLAGS_FILE, hold_workdir, start_workdir

__all__ = ["Ablation", "call_command"]

# Choice of captions and noise, the same for all.
_EVALUATION_SEED = 1
_TIMES_FILE = "seconds.json"


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
        if not self._trains_judges:
            check_finished(self._judges, self._base)
            return
        begun = [run.name for run in self._runs if run.folder.exists()]
        behind = stages_behind(self._judges, self._base, begun)
        if behind:
            logging.info("training STEM and STREAM, which all runs share")
            self._train(self._judges, behind)
            if stages_behind(self._judges, self._base, begun):
                raise UserError(
                    "the training of STEM and STREAM was stopped; give the command "
                    "again"
                )

    def _prepare(self, run):
        """Makes a run's folder, or checks the one there."""
        begin_with(self._judges, run.folder)
        start_workdir(run.folder, run.config)
        done = saved_step(run.folder / "glam")
        if done > run.config.glam.steps:
            raise UserError(
                f"{run.folder} is trained for {done} steps, more than --glam_steps="
                f"{run.config.glam.steps}; raise it or choose another --workdir"
            )

    def _do(self, run):
        """Trains and evaluates; a failure is remembered and stops no other run."""
        since = time.monotonic()
        try:
            self._train(run.folder, ("glam",))
            if saved_step(run.folder / "glam") < run.config.glam.steps:
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
                "--neighbour_images=0",
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
            / f"step{run.config.glam.steps}-{self._captions}captions"
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
        path = self._workdir / _TIMES_FILE
        with tolerant(path):
            write_whole(path, json.dumps(times, indent=1))


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
