"""Growth of a training's memory: `python -m benchmarks.memory --steps=2000`.

Trains birdlets (flags/birdlets.cfg; the stages before it for a few steps, then GLAM)
in a process of its own and reads its resident memory at every log line.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

_STEPS = flags.DEFINE_integer("steps", 2000, "Steps of GLAM.", lower_bound=2)
_WARM_UP = flags.DEFINE_integer("warm_up", 200, "Steps that do not count.")
_EVERY = flags.DEFINE_integer("every", 50, "Steps between measurements.")


def main(_) -> None:
    """Prints the memory at each log line, and the growth after the warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        samples = list(_train(folder))
    after_warm_up = [mib for step, mib in samples if step >= _WARM_UP.value]
    first, last = after_warm_up[0], after_warm_up[-1]
    print(
        f"{samples[-1][0]} steps: {first:.0f} MiB after step {_WARM_UP.value}, "
        f"{last:.0f} at the end: grown by {last - first:+.1f} MiB, at most by "
        f"{max(after_warm_up) - first:+.1f}"
    )


def _train(folder):
    process = subprocess.Popen(
        [
            sys.executable,
            *("-m", "mirrorgan_tf.train", "--flagfile=flags/birdlets.cfg"),
            *(f"--workdir={folder}/run", f"--data_dir={folder}/data"),
            *("--birdlets_train_images=500", "--birdlets_val_images=100"),
            *("--backbone_steps=10", "--stem_steps=10", "--stream_steps=10"),
            *(f"--glam_steps={_STEPS.value}", f"--log_every={_EVERY.value}"),
            "--log_format=json",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        fields = json.loads(line) if line.startswith("{") else {}
        if fields.get("level") == "error":
            sys.exit(fields["message"])
        if fields.get("stage") == "glam" and "losses" in fields:
            mib = _resident_mib(process.pid)
            print(f"step {fields['step']}: {mib:.0f} MiB", flush=True)
            yield fields["step"], mib
    if process.wait():
        sys.exit(f"the training ended with status {process.returncode}")


def _resident_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    (kib,) = (line.split()[1] for line in status.splitlines() if "VmRSS" in line)
    return int(kib) / 2**10


if __name__ == "__main__":
    app.run(main)
