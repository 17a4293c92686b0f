"""Trainings that are interrupted at random moments end like an uninterrupted one.

    python tools/interruptions.py --count=50

Every run is `mirrorgan_tf.train --deterministic` at a tiny size. Each interruption is
SIGKILL or, every second time, SIGTERM, after a random part of the time that a whole run
takes. At the end of a run all tensors of its last checkpoints (weights, averages,
optimizers, batch statistics, steps) must have the bits of the uninterrupted run. A run
continues with its own `flags.cfg`.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mirrorgan_tf.config import STAGES  # noqa: E402  (found by the path above)

STEPS = 6
TINY = [
    "--flagfile=flags/birdlets.cfg",
    "--deterministic",
    "--mixed_precision=none",
    "--strategy=one_device",
    "--birdlets_train_images=24",
    "--birdlets_val_images=8",
    "--scales=1",
    "--generator_width=2",
    "--discriminator_width=2",
    # Neither keeps a state of its own, and both take long to trace.
    "--feature_discriminator=none",
    "--r1_weight=0",
    "--small_width=4",
    "--stream_hidden_dim=8",
    "--backbone_batch_size=4",
    "--stem_batch_size=4",
    "--stream_batch_size=4",
    "--glam_batch_size=4",
    *(f"--{stage}_steps={STEPS}" for stage in STAGES),
    "--log_every=2",
    "--checkpoint_every=2",
    "--picture_every=100",
]


def train(arguments, log):
    """Runs the command in a new process; its output is appended to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["train", *arguments]
    os.chdir(ROOT)
    from mirrorgan_tf import commands
    from mirrorgan_tf.train import define_flags, main

    commands.run(main, define_flags)


class Runs:
    """Starts trainings from a server that has imported everything already."""

    def __init__(self, folder, stages):
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["mirrorgan_tf.train"])
        self._folder = folder
        self._stages = stages

    def start(self, name):
        """Starts or continues the training in `name`; returns its process and log."""
        workdir, log = self._folder / name, self._folder / f"{name}.log"
        arguments = [*TINY, f"--data_dir={self._folder}/data"]
        if (workdir / "flags.cfg").exists():
            # It has all settings of the run.
            arguments = [f"--flagfile={workdir}/flags.cfg"]
        arguments += [f"--workdir={workdir}", f"--stages={','.join(self._stages)}"]
        process = self._context.Process(target=train, args=(arguments, str(log)))
        process.start()
        return process, log


def saved_steps(workdir, stages):
    """Steps of the newest readable checkpoint of each stage."""
    from mirrorgan_tf.training.checkpoints import saved_step

    return [saved_step(workdir / stage) for stage in stages]


def check_same(workdir, other, stages, step):
    """Fails unless all tensors of the checkpoints of a step have the same bytes."""
    import tensorflow as tf

    for stage in stages:
        readers = [
            tf.train.load_checkpoint(str(run / stage / f"ckpt-{step}"))
            for run in (workdir, other)
        ]
        names = [reader.get_variable_to_shape_map().keys() for reader in readers]
        assert names[0] == names[1]
        # The number of saves may differ.
        for name in names[0] - {
            "_CHECKPOINTABLE_OBJECT_GRAPH",
            "save_counter/.ATTRIBUTES/VARIABLE_VALUE",
        }:
            a, b = (reader.get_tensor(name) for reader in readers)
            same = a == b if isinstance(a, bytes) else a.tobytes() == b.tobytes()
            assert same, f"{stage}: {name} differs"


def interrupt(runs, name, after_s, number):
    """Starts or continues a run; returns whether the signal came before its end."""
    process, log = runs.start(name)
    process.join(after_s)
    if process.exitcode is None:
        os.kill(process.pid, number)
    process.join()
    text = log.read_text()
    assert "Traceback" not in text and "\nerror:" not in text, text
    if process.exitcode == -signal.SIGKILL:
        return True
    # SIGTERM before Python listens ends the process too.
    assert process.exitcode in (0, -signal.SIGTERM), f"{process.exitcode}\n{text}"
    return "stopped; all progress is saved" in text.splitlines()[-1]


def main():
    """Interrupts `--count` times, prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--stages", default=",".join(STAGES), help="the first ones of all stages"
    )
    arguments = parser.parse_args()
    stages = arguments.stages.split(",")
    folder = Path(tempfile.mkdtemp(prefix="interruptions-"))
    runs = Runs(folder, stages)
    start_s = time.monotonic()
    process, log = runs.start("uninterrupted")
    process.join()
    assert process.exitcode == 0, log.read_text()
    whole_s = time.monotonic() - start_s
    print(f"uninterrupted run: {whole_s:.1f} s", flush=True)
    generator = random.Random(arguments.seed)
    count = finished = 0
    before = [0] * len(stages)
    while True:
        name, number = f"run{finished}", signal.SIGKILL
        if count == arguments.count:
            after_s = None
        else:
            # The uninterrupted run waited for the server's imports, too.
            after_s = generator.uniform(0, 0.7 * whole_s)
            number = signal.SIGTERM if count % 2 else signal.SIGKILL
        interrupted = interrupt(runs, name, after_s, number)
        count += interrupted
        now = saved_steps(folder / name, stages)
        assert all(a <= b for a, b in zip(before, now, strict=True)), (before, now)
        before = now
        if interrupted:
            print(
                f"{count}: {number.name} after {after_s:.1f} s, saved {now}", flush=True
            )
        elif now == [STEPS] * len(stages):
            check_same(folder / name, folder / "uninterrupted", stages, STEPS)
            print("finished with the same bits", flush=True)
            before, finished = [0] * len(stages), finished + 1
            if after_s is None:
                break
    shutil.rmtree(folder)
    print(f"{count} interruptions, {finished} run(s) finished, nothing lost")


if __name__ == "__main__":
    main()
