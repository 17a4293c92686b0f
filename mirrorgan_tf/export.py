"""`python -m export --workdir=runs/birdlets --out=served/birdlets`.

Writes a trained run as a SavedModel for TensorFlow Serving, in the next version folder
of --out. README lists its signatures; captions go in, images come out.
"""

from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config.groups import KERNELS
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

_OPTIONS = ("dtype", "quantize", "ema", "xla", "max_batch", "candidates")


def define_flags() -> None:
    """Defines the command's flags."""
    define_path("workdir", None, "Folder of a trained run.")
    define_path("out", None, "Folder of all versions of the served model.")
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
        "What the generator computes in.",
    )
    flags.DEFINE_enum(
        "quantize", "none", ["none", "int8"], "Store kernels in eight bits."
    )
    flags.DEFINE_bool("ema", True, "Export the averaged generator, not the last.")
    flags.DEFINE_bool(
        "xla",
        False,
        "Compile the generator where it is served, once a batch size; TensorFlow "
        "Serving on CPUs then needs --xla_cpu_compilation_enabled.",
    )
    flags.DEFINE_integer(
        "max_batch", 32, "Captions that a request may hold.", lower_bound=1
    )
    flags.DEFINE_integer(
        "candidates", 4, "Images that best_of chooses from.", lower_bound=1
    )
    flags.DEFINE_enum(
        "kernels",
        "auto",
        KERNELS,
        "auto: export the fast versions of operations that this machine was measured "
        "to be faster with; reference: the plain versions.",
    )
    flags.DEFINE_bool(
        "redescription",
        True,
        "Export STREAM too: signatures redescribe and best_of.",
    )


def main() -> None:
    """Opens the run and saves it."""
    values = flags.FLAGS
    for name in ("workdir", "out"):
        if not values[name].value:
            raise UserError(f"--{name} is missing; give --workdir=RUN --out=FOLDER")
    # It takes seconds: not before --help and wrong flags are answered.
    commands.start_keras()
    from mirrorgan_tf.ops.selection import set_kernels
    from mirrorgan_tf.serving.exporting import export_model
    from mirrorgan_tf.serving.versions import choose_version, folder_bytes
    from mirrorgan_tf.workdir import open_workdir

    set_kernels(values.kernels)
    out = Path(values.out)
    version = choose_version(out, values.version)
    target = export_model(
        open_workdir(values.workdir, ema=values.ema),
        out,
        version=version,
        redescription=values.redescription,
        **{name: values[name].value for name in _OPTIONS},
    )
    if values.xla:
        logging.info(
            "compiled where it is served: on CPUs start tensorflow_model_server with "
            "--xla_cpu_compilation_enabled"
        )
    logging.info("%s: %.1f MB", target, folder_bytes(target) / 1e6)


if __name__ == "__main__":
    commands.run(main, define_flags)
