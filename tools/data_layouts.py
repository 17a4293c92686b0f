"""Runs all commands on every layout of a data set that can be read.

    python tools/data_layouts.py --steps=200

For each layout: check, prepare, train (so many steps of each stage, with small
networks, half from image files and half from shards), evaluate, export, and one image
of the export. Each is the command that a user would type.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.data import trees  # noqa: E402  (found by the path above)
from tests.tiny_settings import TINY  # noqa: E402

SETTINGS = TINY | {
    "stream_encoder_weights": "stem",
    "stem_batch_size": 8,
    "stream_batch_size": 8,
    "glam_batch_size": 8,
    "strategy": "one_device",
    "log_every": 50,
    "picture_every": 1000,
}
USE_EXPORT = """
import sys
import tensorflow as tf
import tensorflow_text
seeded = tf.saved_model.load(sys.argv[1]).signatures["seeded"]
seed = tf.constant([7], tf.int64)
image = seeded(caption=tf.constant(["a red bird"]), seed=seed)["image"]
assert image.shape == (1, 32, 32, 3) and image.numpy().std() > 0
"""
STAGES = ("stem", "stream", "glam")
# R-precision needs 100 validation images of other classes.
COCO = {"train_images": 60, "val_images": 110}
CUB = {"images_per_class": 110}
TREES = {
    "coco_2014": ("coco", lambda folder: trees.make_coco(folder, year=2014, **COCO)),
    "coco_2017": ("coco", lambda folder: trees.make_coco(folder, year=2017, **COCO)),
    "cub_original": ("cub", lambda folder: trees.make_cub_original(folder, **CUB)),
    "cub_preprocessed": (
        "cub",
        lambda folder: trees.make_cub_preprocessed(folder, **CUB),
    ),
    "folder": (
        "folder",
        lambda folder: trees.make_folder(folder, images=60, val_images=110),
    ),
}


def run_commands(name: str, folder: Path, steps: int) -> None:
    """Runs all commands on one layout; RuntimeError at the first that fails."""
    dataset, make = TREES[name]
    raw = make(folder / name)
    workdir, shards, served = (folder / part for part in ("run", "shards", "served"))
    from_raw = [f"--dataset={dataset}", f"--data_dir={raw}"]
    from_shards = [f"--dataset={dataset}", f"--data_dir={shards}"]
    _run("mirrorgan_tf.check", *from_raw, f"--out={folder / 'check.png'}")
    _run("mirrorgan_tf.prepare", *from_raw, f"--out={shards}")
    flags = [f"--{name}={value}" for name, value in SETTINGS.items()]
    train = ["mirrorgan_tf.train", f"--workdir={workdir}", *flags]
    for source, last_step in ((from_raw, steps // 2), (from_shards, steps)):
        _run(*train, *source, *(f"--{stage}_steps={last_step}" for stage in STAGES))
    _run(
        "mirrorgan_tf.evaluate",
        f"--workdir={workdir}",
        "--evaluate_captions=220",
        "--metrics=r_precision,redescription,diversity",
        "--diversity_captions=2",
        "--diversity_seeds=2",
    )
    _run("export", f"--workdir={workdir}", f"--out={served}")
    _call(sys.executable, "-c", USE_EXPORT, str(served / "1"))


def _run(module, *arguments):
    _call(sys.executable, "-m", module, *map(str, arguments))


def _call(*command):
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)}\nended with {process.returncode}:\n"
            f"{process.stdout}{process.stderr}"
        )


def main() -> None:
    """Runs the chosen layouts and prints how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", nargs="+", default=list(TREES), choices=TREES)
    parser.add_argument("--steps", type=int, default=200, help="of each stage")
    options = parser.parse_args()
    for name in options.trees:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run_commands(name, Path(folder), options.steps)
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
