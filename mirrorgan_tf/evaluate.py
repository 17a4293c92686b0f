"""`python -m mirrorgan_tf.evaluate --workdir=runs/birdlets`: how good are the images?

Renders validation captions, an image each, and computes the metrics that README
lists, each against real images where it can be. What can't be computed (no weights of
Inception, no ground truth, too few images) is reported with its reason. --saved_model
takes the images from an export instead; data and judges are then those of --workdir.
Without --workdir give --dataset, --data_dir and --out: metrics that need DAMSM or
STREAM are left out.

Images, report.json, report.md and contact_sheet.png go to a folder in
WORKDIR/evaluation (--out); the same line goes on with what it holds.
"""

import json
from pathlib import Path

from absl import flags

from mirrorgan_tf import commands
from mirrorgan_tf.config import SETTINGS, Config
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

__all__ = ["define_flags", "evaluate"]

_METRICS = (
    "inception_score",
    "fid",
    "kid",
    "precision_recall",
    "r_precision",
    "redescription",
    "diversity",
    "obedience",
)
_CHOICES = next(item.choices for item in SETTINGS if item.flag == "dataset")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the command's flags; not at import, where commands would collide."""
    options = {"flag_values": flag_values}
    define_path("workdir", None, "Folder of a trained run.", **options)
    define_path(
        "saved_model",
        None,
        "An export that makes the images in the run's stead.",
        **options,
    )
    flags.DEFINE_enum(
        "dataset",
        None,
        _CHOICES,
        "Data set; default: the one of the training.",
        **options,
    )
    define_path(
        "data_dir",
        None,
        "Folder of the data set; default: the one of the training.",
        **options,
    )
    define_path(
        "out",
        None,
        "Folder of the evaluation; default: one in WORKDIR/evaluation.",
        **options,
    )
    define_path(
        "oracle",
        None,
        "Folder of the birdlets classifier, trained if it is not there; default: "
        "WORKDIR/oracle, or one in --out.",
        **options,
    )
    flags.DEFINE_list(
        "metrics",
        [],
        f"Metrics that must be computed, of {','.join(_METRICS)}; default: all that "
        "can be.",
        **options,
    )
    flags.DEFINE_integer(
        "evaluate_captions",
        1000,
        "Captions to render, at most (the field: 30000).",
        lower_bound=1,
        **options,
    )
    flags.DEFINE_integer(
        "diversity_captions",
        20,
        "Captions drawn with several seeds.",
        lower_bound=1,
        **options,
    )
    flags.DEFINE_integer(
        "diversity_seeds", 5, "Seeds of each.", lower_bound=2, **options
    )
    flags.DEFINE_integer(
        "neighbour_images",
        10_000,
        "Training images, at most, among which the nearest to a real one is looked "
        "for: its caption is what STREAM's has to beat; 0: none.",
        lower_bound=0,
        **options,
    )
    flags.DEFINE_enum(
        "features",
        "inception",
        ["inception", "oracle"],
        "Whose features FID, KID, precision and recall compare; oracle: the birdlets "
        "classifier's, which needs no download.",
        **options,
    )
    define_path(
        "inception_weights",
        "imagenet",
        "Inception's weights: imagenet (downloaded once) or a Keras weights file.",
        **options,
    )
    flags.DEFINE_integer(
        "batch_size", 16, "Captions rendered together.", lower_bound=1, **options
    )
    flags.DEFINE_bool(
        "tf32",
        None,
        "Multiply float32 in TF32 where a GPU has it; default: as the training did.",
        **options,
    )
    flags.DEFINE_integer(
        "seed",
        1,
        "Fixes choice and noise.",
        lower_bound=0,
        upper_bound=2**31 - 1,
        **options,
    )


def evaluate(asked: flags.FlagValues = flags.FLAGS) -> None:
    """Evaluates, prints and writes.

    Args:
        asked: parsed flags.

    Raises:
        UserError: a flag is wrong, something is missing or broken, or a metric asked
            for by name could not be computed; all others are written by then.
    """
    _check(asked)
    # It takes seconds: not before --help and wrong flags are answered.
    commands.start_keras()
    import keras

    from mirrorgan_tf.evaluation.evaluation import Evaluation
    from mirrorgan_tf.evaluation.report import to_markdown
    from mirrorgan_tf.files import hold_folder
    from mirrorgan_tf.pictures import save_image

    keras.utils.set_random_seed(asked.seed)
    plan, names = _plan(asked)
    evaluation = Evaluation(plan)
    with hold_folder(plan.folder, flag="out", activity="evaluation"):
        report, sheet = evaluation.run()
    report = names | report
    text = to_markdown(report)
    try:
        save_image(sheet, plan.folder / "contact_sheet.png")
        content = json.dumps(report, indent=1, allow_nan=False)
        (plan.folder / "report.json").write_text(content, encoding="utf-8")
        (plan.folder / "report.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{plan.folder}: can't be written ({error})") from None
    print(text)
    print(f"written: {plan.folder}")
    evaluation.raise_if_missing()


def _check(asked):
    unknown = sorted(set(asked.metrics) - set(_METRICS))
    if unknown:
        raise UserError(
            f"--metrics={','.join(asked.metrics)}: {unknown[0]!r} is no metric; choose "
            f"from {', '.join(_METRICS)}"
        )
    if asked.workdir:
        return
    if not asked.saved_model:
        raise UserError(
            "--workdir is missing; give the folder of a training, or --saved_model"
        )
    for name in ("dataset", "data_dir", "out"):
        if not asked[name].value:
            raise UserError(
                f"--{name} is missing; --saved_model without --workdir needs --dataset,"
                " --data_dir and --out"
            )


def _plan(asked):
    """The plan, and how model and data are called in the report."""
    from mirrorgan_tf.data.sources import open_dataset
    from mirrorgan_tf.evaluation.drawing import open_run_drawer, open_saved_model_drawer
    from mirrorgan_tf.evaluation.evaluation import Plan
    from mirrorgan_tf.evaluation.open_extractors import (
        judge_openers,
        real_reader,
        truth_of,
    )
    from mirrorgan_tf.evaluation.sampling import choose_some
    from mirrorgan_tf.tf32 import describe_float32, use_tf32
    from mirrorgan_tf.workdir import open_workdir

    run = open_workdir(asked.workdir) if asked.workdir else None
    config = _data_config(asked, Config() if run is None else run.config)
    use_tf32(config.run.tf32)
    splits = open_dataset(config, draw=False)
    index = splits["val"]
    drawer = (
        open_saved_model_drawer(asked.saved_model)
        if asked.saved_model
        else open_run_drawer(run)
    )
    folder = Path(
        asked.out
        or Path(asked.workdir)
        / "evaluation"
        / f"{drawer.name}-{asked.evaluate_captions}captions-seed{asked.seed}"
    )
    plan = Plan(
        folder=folder,
        drawer=drawer,
        index=index,
        read_real=real_reader(drawer.side_px),
        judges=judge_openers(
            run,
            data_dir=Path(config.data.data_dir),
            side_px=drawer.side_px,
            oracle_folder=Path(
                asked.oracle or (folder if run is None else run.path) / "oracle"
            ),
            inception_weights=asked.inception_weights,
        ),
        features=asked.features,
        metrics=asked.metrics or None,
        captions=asked.evaluate_captions,
        varied=(asked.diversity_captions, asked.diversity_seeds),
        batch_size=asked.batch_size,
        seed=asked.seed,
        truth=truth_of(config.data.data_dir, index),
        neighbours=choose_some(
            splits["train"], asked.neighbour_images, seed=asked.seed
        ),
    )
    return plan, {
        "model": str(asked.saved_model or f"{asked.workdir}, step {run.step}"),
        "data": f"{config.data.dataset} ({config.data.data_dir})",
        "float32": describe_float32(),
    }


def _data_config(asked, config):
    changes = {
        name: asked[name].value
        for name in ("dataset", "data_dir", "tf32")
        if asked[name].value not in (None, "")
    }
    return config.replace(**changes)


if __name__ == "__main__":
    commands.run(evaluate, define_flags)
