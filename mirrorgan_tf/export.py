"""Exports a model for serving: `mirrorgan export --workdir=runs/cub --out=served/cub`.

Writes a trained run or a preset as a SavedModel for TensorFlow Serving, in the next
version folder of --out, or (--format=litert) as a LiteRT model for phones and browsers.
docs/serving.md lists the signatures.
"""

from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config.groups import KERNELS
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

# Flags that only --format=saved_model has.
_SAVED_MODEL_FLAGS = (
    "version",
    "dtype",
    "xla",
    "max_batch",
    "candidates",
    "redescription",
    "default_signature",
)


def define_flags() -> None:
    """Defines the command's flags."""
    define_path("workdir", None, "Folder of a trained run.")
    define_path(
        "preset",
        None,
        "In place of --workdir: a trained model of the package, such as birdlets_64, "
        "or the folder of a preset.",
    )
    define_path(
        "out",
        None,
        "Folder of all versions of the served model; with --format=litert: the folder "
        "to create.",
    )
    flags.DEFINE_enum(
        "format",
        "saved_model",
        ["saved_model", "litert"],
        "SavedModel for TensorFlow Serving, or LiteRT for phones and browsers.",
    )
    flags.DEFINE_enum(
        "quantize", "none", ["none", "int8"], "Store kernels in eight bits."
    )
    flags.DEFINE_bool(
        "ema", True, "Export the averaged generator of --workdir, not the last one."
    )
    flags.DEFINE_integer(
        "version",
        None,
        "Version to write, from 1; default: the next one in --out.",
        lower_bound=1,
    )
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16", "float16"],
        "Type in which the generator computes and is stored.",
    )
    flags.DEFINE_bool(
        "xla",
        False,
        "Let the server compile the generator with XLA, once for each batch size; "
        "TensorFlow Serving on CPUs then needs --xla_cpu_compilation_enabled.",
    )
    flags.DEFINE_integer(
        "max_batch", 32, "The most captions of a request.", lower_bound=1
    )
    flags.DEFINE_integer(
        "candidates", 4, "Number of images best_of chooses from.", lower_bound=1
    )
    flags.DEFINE_enum(
        "kernels",
        "auto",
        KERNELS,
        "auto: export faster versions of operations where they were measured to be "
        "faster on this kind of machine; reference: the plain versions.",
    )
    flags.DEFINE_bool(
        "redescription",
        True,
        "Export STREAM too: signatures redescribe and best_of.",
    )
    flags.DEFINE_enum(
        "default_signature",
        "image",
        ["image", "png", "jpeg"],
        "What serving_default returns: arrays or files, for hosts where a request "
        "can't choose its signature.",
    )


def main() -> None:
    """Opens the run or preset and exports it."""
    options = flags.FLAGS
    _check_flags(options)
    # Importing Keras takes seconds; wrong flags are reported before.
    commands.start_keras()
    from mirrorgan_tf.ops.selection import set_kernels

    set_kernels(options.kernels)
    model = _open(options)
    out = Path(options.out)
    if options.format == "litert":
        from mirrorgan_tf.serving.litert import MODEL_FILE, export_litert

        path = export_litert(model, out, quantize=options.quantize) / MODEL_FILE
        logging.info("%s: %.2f MB", path, path.stat().st_size / 1e6)
        return
    from mirrorgan_tf.serving.exporting import export_model

    export_model(
        model,
        out,
        quantize=options.quantize,
        ema=options.ema,
        **{name: options[name].value for name in _SAVED_MODEL_FLAGS},
    )


def _check_flags(options):
    if bool(options.workdir) == bool(options.preset):
        problem = "are both given" if options.workdir else "are missing"
        raise UserError(
            f"--workdir and --preset {problem}; give --workdir=RUN or "
            "--preset=birdlets_64"
        )
    if not options.out:
        raise UserError("--out is missing; give --out=FOLDER")
    if options.format == "litert":
        for name in _SAVED_MODEL_FLAGS:
            if options[name].present:
                raise UserError(f"--{name} is for --format=saved_model; leave it out")


def _open(options):
    from mirrorgan_tf.presets.files import open_preset
    from mirrorgan_tf.workdir import open_workdir

    if options.preset:
        return open_preset(options.preset)
    return open_workdir(options.workdir, ema=options.ema)


if __name__ == "__main__":
    commands.run(main, define_flags)
