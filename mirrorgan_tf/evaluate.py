"""Measures the quality of images: `mirrorgan evaluate --workdir=runs/birdlets`.

Generates one image for each of many validation captions and compares images and
captions with real ones by the metrics of docs/evaluation.md. The report lists metrics
that can't be computed with the reason (no weights of Inception, too few images).

--preset and --saved_model evaluate a preset or an export instead of a run; they need
--data_dir and --out, and --saved_model without --workdir needs --dataset too. An export
has neither DAMSM nor STREAM, and a preset has no DAMSM; metrics that need them are left
out.

Images, report.json, report.md and contact_sheet.png are written into a folder in
WORKDIR/evaluation (--out). The same command resumes an interrupted evaluation.
"""

import json
from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config import SETTINGS, Config
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

__all__ = ["define_flags", "evaluate"]

_CHOICES = next(item.choices for item in SETTINGS if item.flag == "dataset")
# What older versions called --networks_dir, its default folder, and the features
# "attribute_classifier".
_OLD_NAME = "oracle"


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the command's flags."""
    _define_source_flags(flag_values)
    _define_metric_flags(flag_values)


def _define_source_flags(flag_values):
    for name, text in (
        ("workdir", "Folder of a trained run."),
        ("saved_model", "Export that generates the images instead of the run."),
        ("preset", "Preset that generates the images, by name or folder."),
        ("data_dir", "Folder of the data set; default: the training's."),
        ("out", "Folder of the evaluation; default: one in WORKDIR/evaluation."),
        (
            "networks_dir",
            "Folder of the small networks that evaluations train once and save; "
            "default: WORKDIR/evaluation_networks, or one in --out.",
        ),
        (_OLD_NAME, "Deprecated: --networks_dir."),
    ):
        define_path(name, None, text, flag_values=flag_values)
    flags.DEFINE_enum(
        "dataset",
        None,
        _CHOICES,
        "Data set; default: the training's.",
        flag_values=flag_values,
    )


def _define_metric_flags(flag_values):
    flags.DEFINE_list(
        "metrics",
        [],
        "Metrics to compute; default: all that can be computed.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "features",
        ["inception", "autoencoder"],
        "Networks in whose features FID, KID, precision and recall compare images: "
        "inception (ImageNet), autoencoder (trained on the real training images "
        "without labels, once), fid_inception (see --fid_weights) and those of the "
        "data set, such as attribute_classifier.",
        flag_values=flag_values,
    )
    define_path(
        "inception_weights",
        "imagenet",
        "Inception's weights: imagenet (downloaded once) or a Keras weights file.",
        flag_values=flag_values,
    )
    define_path(
        "fid_weights",
        None,
        "Weights of the literature's FID network, pt_inception-2015-12-05-6726825d.pth "
        "(needs torch) or the same as .npz or .safetensors; adds fid_inception to "
        "--features.",
        flag_values=flag_values,
    )
    for name, default, minimum, text in (
        (
            "evaluate_captions",
            1000,
            1,
            "Captions to generate images from (the literature: 30000).",
        ),
        ("diversity_captions", 20, 2, "Captions that get images of several seeds."),
        ("diversity_seeds", 5, 2, "Seeds of each of these captions."),
        (
            "neighbour_images",
            10_000,
            0,
            "Training images among which the one nearest to a real image is searched: "
            "its caption is a baseline for STREAM's; 0: none.",
        ),
        ("batch_size", 16, 1, "Images that are generated together."),
        ("seed", 1, 0, "Determines the choice of captions, the noise and all else."),
    ):
        flags.DEFINE_integer(
            name,
            default,
            text,
            lower_bound=minimum,
            upper_bound=2**31 - 1,
            flag_values=flag_values,
        )
    flags.DEFINE_bool(
        "tf32",
        None,
        "Multiply float32 in TF32 where a GPU has it; default: as the training did.",
        flag_values=flag_values,
    )


def evaluate(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Evaluates a model, and prints and writes the report.

    Args:
        flag_values: parsed flags.

    Raises:
        UserError: a flag is wrong, files are missing or broken, or a metric of
            --metrics could not be computed; the report is written in that case.
    """
    _check(flag_values)
    # Importing Keras takes seconds; wrong flags are reported before.
    commands.start_keras()
    import keras

    from mirrorgan_tf.evaluation.evaluation import Evaluation
    from mirrorgan_tf.evaluation.report import to_markdown
    from mirrorgan_tf.files import locked_folder, write_atomically
    from mirrorgan_tf.pictures import save_image

    keras.utils.set_random_seed(flag_values.seed)
    plan, names = _plan(flag_values)
    with locked_folder(plan.folder, flag="out", activity="evaluation"):
        evaluation = Evaluation(plan)
        report, sheet = evaluation.run()
        report = names | report
        text = to_markdown(report, plan.metrics)
        try:
            save_image(sheet, plan.folder / "contact_sheet.png")
            content = json.dumps(report, indent=1, allow_nan=False)
            write_atomically(plan.folder / "report.json", content)
            write_atomically(plan.folder / "report.md", text)
        except OSError as error:
            raise UserError(f"{plan.folder}: can't be written ({error})") from None
    print(text)
    print(f"written: {plan.folder}")
    evaluation.raise_if_missing()


def _check(flag_values):
    if flag_values.workdir and flag_values.preset:
        raise UserError("--workdir and --preset: give one of them")
    if flag_values.workdir:
        return
    if flag_values.preset:
        source, needed = "--preset", ("data_dir", "out")
    elif flag_values.saved_model:
        source = "--saved_model without --workdir"
        needed = ("dataset", "data_dir", "out")
    else:
        raise UserError(
            "--workdir is missing; give the folder of a training, --preset or "
            "--saved_model"
        )
    for name in needed:
        if not flag_values[name].value:
            listed = ", ".join(f"--{flag}" for flag in needed)
            raise UserError(f"--{name} is missing; {source} needs {listed}")


def _plan(flag_values):
    """The plan, and the names of model and data for the report."""
    from mirrorgan_tf.data.registry import find_dataset
    from mirrorgan_tf.data.sources import open_dataset
    from mirrorgan_tf.evaluation.evaluation import METRICS, EvaluationPlan
    from mirrorgan_tf.evaluation.image_source import (
        model_source,
        open_saved_model_source,
    )
    from mirrorgan_tf.tf32 import describe_float32, use_tf32

    model = _open_model(flag_values)
    config = _data_config(flag_values, Config() if model is None else model.config)
    use_tf32(config.run.tf32)
    splits = open_dataset(config, draw=False)
    if flag_values.saved_model:
        source = open_saved_model_source(flag_values.saved_model)
    else:
        source = model_source(model)
    name = f"{source.name}-{flag_values.evaluate_captions}captions"
    folder = Path(
        flag_values.out
        or f"{flag_values.workdir}/evaluation/{name}-seed{flag_values.seed}"
    )
    networks = _networks_folder(flag_values, folder)
    dataset = find_dataset(config)
    metrics = METRICS | dataset.metrics()
    features = _features(flag_values)
    extractors = _extractors(flag_values, model, splits, source, networks)
    extractors |= dataset.feature_extractors(networks, source.size_px)
    name = config.data.dataset
    _check_names("metrics", flag_values.metrics, metrics, name)
    _check_names("features", features, extractors.keys() - {"damsm", "stream"}, name)
    plan = EvaluationPlan(
        folder=folder,
        source=source,
        splits=splits,
        extractors=extractors,
        compared_features=features,
        metrics=metrics,
        required=flag_values.metrics or None,
        captions=flag_values.evaluate_captions,
        repeated=(flag_values.diversity_captions, flag_values.diversity_seeds),
        batch_size=flag_values.batch_size,
        training_images=flag_values.neighbour_images,
        seed=flag_values.seed,
    )
    model_name = flag_values.saved_model or flag_values.preset
    return plan, {
        "model": str(model_name or f"{flag_values.workdir}, step {model.step}"),
        "data": f"{config.data.dataset} ({config.data.data_dir})",
        "float32": describe_float32(),
    }


def _open_model(flag_values):
    """The model of --workdir or --preset; None if there is only an export."""
    from mirrorgan_tf.presets.files import open_preset
    from mirrorgan_tf.workdir import open_workdir

    if flag_values.workdir:
        return open_workdir(flag_values.workdir)
    return open_preset(flag_values.preset) if flag_values.preset else None


def _data_config(flag_values, config):
    changes = {
        name: flag_values[name].value
        for name in ("dataset", "data_dir", "tf32")
        if flag_values[name].value not in (None, "")
    }
    return config.replace(**changes)


def _extractors(flag_values, model, splits, source, networks):
    """Name -> function that opens a feature extractor."""
    from mirrorgan_tf.evaluation.autoencoder import open_autoencoder
    from mirrorgan_tf.evaluation.feature_extractors import model_extractors
    from mirrorgan_tf.evaluation.fid_inception import FidInceptionExtractor
    from mirrorgan_tf.evaluation.inception import InceptionExtractor

    extractors = model_extractors(model) | {
        "autoencoder": lambda: open_autoencoder(
            networks, splits["train"], source.size_px
        ),
        "inception": lambda: InceptionExtractor(flag_values.inception_weights),
    }
    if flag_values.fid_weights:
        extractors["fid_inception"] = lambda: FidInceptionExtractor(
            flag_values.fid_weights
        )
    return extractors


def _networks_folder(flag_values, folder):
    if flag_values[_OLD_NAME].value:
        logging.warning("--oracle is deprecated; use --networks_dir")
    chosen = flag_values.networks_dir or flag_values[_OLD_NAME].value
    if chosen:
        return Path(chosen)
    home = Path(flag_values.workdir) if flag_values.workdir else folder
    old, new = home / _OLD_NAME, home / "evaluation_networks"
    return old if old.is_dir() and not new.is_dir() else new


def _features(flag_values):
    names = [
        "attribute_classifier" if name == _OLD_NAME else name
        for name in flag_values.features
    ]
    if flag_values.fid_weights and "fid_inception" not in names:
        names.append("fid_inception")
    if not flag_values.fid_weights and "fid_inception" in names:
        raise UserError("--features=fid_inception needs --fid_weights")
    return tuple(names)


def _check_names(flag, names, known, dataset):
    for name in names:
        if name not in known:
            raise UserError(
                f"--{flag}={','.join(names)}: {dataset} has no {name!r}; "
                f"choose from {', '.join(sorted(known))}"
            )


if __name__ == "__main__":
    commands.run(evaluate, define_flags)
