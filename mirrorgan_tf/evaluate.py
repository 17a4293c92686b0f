"""`python -m mirrorgan_tf.evaluate --workdir=runs/birdlets`: do images obey captions?

Renders validation captions that state the body's colour, one image each, and reads
the colour back with a classifier that was trained on real birdlets only (kept in
WORKDIR/oracle). Prints its accuracy on held-out real images, the share of generated
images that show what their caption states, the same with captions shuffled, and
chance. Writes report.json, report.md and random samples to WORKDIR/evaluation.
"""

import json
from pathlib import Path

import keras
import numpy as np
from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.data.birdlets.truth import read_claims
from mirrorgan_tf.metrics.oracle import oracle_size, read_attributes
from mirrorgan_tf.metrics.real_birdlets import (
    held_out_accuracy,
    obtain_oracle,
    read_labelled,
)
from mirrorgan_tf.metrics.report import JUDGED, choose_claims, judge, to_markdown
from mirrorgan_tf.pictures import caption_grid, save_png

__all__ = ["define_flags", "evaluate", "main"]

_SAMPLES = 32


def define_flags() -> None:
    """Defines the command's flags; not at import, where commands would collide."""
    flags.DEFINE_string("workdir", None, "Folder of a trained run.")
    flags.DEFINE_string(
        "data_dir", None, "Folder of birdlets; default: the one of the training."
    )
    flags.DEFINE_integer(
        "evaluate_captions", 1000, "Captions to render, at most.", lower_bound=1
    )
    flags.DEFINE_integer(
        "seed", 1, "Fixes choice and noise.", lower_bound=0, upper_bound=2**31 - 1
    )


def evaluate(
    run, *, oracle_folder: Path, data_dir: str | Path, captions: int, seed: int
) -> tuple[dict, np.ndarray]:
    """Measures a trained run.

    Args:
        run: a `workdir.TrainedRun`: its `config.sizes` and `generate` are used.
        oracle_folder: where the classifier is kept.
        data_dir: birdlets: train split for the classifier, validation for captions.
        captions: captions to render, at most.
        seed: of their choice and of the noise.

    Returns:
        What `judge` tells, and a sheet of random samples, (H, W, 3) uint8.

    Raises:
        UserError: the data set is missing, or no birdlets.
    """
    size = oracle_size(run.config.sizes[-1])
    claims = choose_claims(read_claims(data_dir, "val"), captions, seed=seed)
    if not claims:
        raise UserError(f"--data_dir={data_dir}: no validation caption states {JUDGED}")
    oracle = obtain_oracle(oracle_folder, data_dir, size, seed=1)
    accuracy = held_out_accuracy(oracle, read_labelled(data_dir, "val", size))
    logging.info("rendering %d captions", len(claims))
    # Every caption has noise of its own.
    seeds = [seed * 2**24 + place for place in range(len(claims))]
    images = run.generate([claim.caption for claim in claims], seeds)[-1]
    read = read_attributes(oracle, images)
    shown = np.random.default_rng(seed).permutation(len(claims))[:_SAMPLES]
    labels = [
        f"{claims[row].caption}\n"
        f"[states {claims[row].states[JUDGED]}, read {ATTRIBUTES[JUDGED][code]}]"
        for row, code in zip(shown, read[JUDGED][shown], strict=True)
    ]
    sheet = caption_grid(list(images[shown]), labels, columns=8, image_px=128)
    return judge(claims, read, accuracy, seed=seed), sheet


def main() -> None:
    """Measures, prints and writes."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir is missing; give the folder of a training")
    from mirrorgan_tf.workdir import open_workdir  # Slow; not before flags are right.

    run = open_workdir(values.workdir)
    keras.utils.set_random_seed(values.seed)
    workdir = Path(values.workdir)
    report, sheet = evaluate(
        run,
        oracle_folder=workdir / "oracle",
        data_dir=values.data_dir or run.config.data_dir,
        captions=values.evaluate_captions,
        seed=values.seed,
    )
    report = {"workdir": str(workdir), "step": run.step, "seed": values.seed} | report
    text = to_markdown(report)
    text += f"\nrandom_samples.png: {_SAMPLES} of them at random, none chosen.\n"
    folder = workdir / "evaluation"
    save_png(sheet, folder / "random_samples.png")
    (folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (folder / "report.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"written: {folder}")


if __name__ == "__main__":
    define_flags()
    commands.run(main)
