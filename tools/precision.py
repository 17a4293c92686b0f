"""bfloat16 trains GLAM like float32: losses of birdlets differ no more than seeds do.

    python tools/precision.py --seeds=5 --out=runs/precision

STEM and STREAM are trained once, in float32, then GLAM from them with each seed in
both precisions. Given again, the command goes on where it was. Exit status 1 if a
loss's means over the last half of the steps lie apart by more than --most standard
deviations of the seeds.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRECISIONS = ("bfloat16", "none")


def train(workdir, data, *flags):
    """The command, as users give it; its lines on ours."""
    subprocess.run(
        [
            *(sys.executable, "-m", "mirrorgan_tf.train"),
            "--flagfile=flags/birdlets.cfg",
            *("--birdlets_train_images=3000", "--birdlets_val_images=500"),
            *("--backbone_steps=800", "--stem_steps=400", "--stream_steps=500"),
            *(f"--workdir={workdir}", f"--data_dir={data}", *flags),
        ],
        cwd=ROOT,
        check=True,
    )


def main():
    """Trains what is lacking, then compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--most", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=Path("runs/precision"))
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    train(out / "judges", out / "data", "--stages=backbone,stem,stream")
    runs = {precision: [] for precision in PRECISIONS}
    for seed in range(1, arguments.seeds + 1):
        for precision in PRECISIONS:
            run = out / f"{precision}-seed{seed}"
            if not run.exists():
                # Other flags are welcome where no flags.cfg is.
                shutil.copytree(
                    out / "judges",
                    run,
                    ignore=shutil.ignore_patterns("flags.cfg", "logs", "pictures"),
                )
            train(
                run,
                out / "data",
                # Whose layout birdlets have: by another seed these would be drawn anew.
                "--dataset=coco",
                f"--seed={seed}",
                f"--mixed_precision={precision}",
                f"--glam_steps={arguments.steps}",
                "--stages=glam",
            )
            runs[precision].append(str(run))
    ours, theirs = (",".join(runs[precision]) for precision in PRECISIONS)
    compared = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.loss_curves"),
            *(f"--ours={ours}", f"--theirs={theirs}"),
            *(f"--steps={arguments.steps}", f"--most={arguments.most}"),
        ],
        cwd=ROOT,
    )
    sys.exit(compared.returncode)


if __name__ == "__main__":
    main()
