"""Saves a preset of a training: `mirrorgan presets --workdir=runs/mine --out=mine`.

Other commands load it with `--preset=mine`, and KerasHub loads it too.
"""

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError


def define_flags() -> None:
    """Defines the command's flags."""
    define_path("workdir", None, "Folder of a trained run.")
    define_path("out", None, "Folder of the preset to write.")
    flags.DEFINE_enum(
        "dtype",
        "float16",
        ["float16", "float32"],
        "Type of the weights in the file; float16 is half as large.",
    )


def main() -> None:
    """Saves a preset of a run."""
    values = flags.FLAGS
    for name in ("workdir", "out"):
        if not values[name].value:
            raise UserError(f"--{name} is missing")
    commands.start_keras()
    from mirrorgan_tf.presets.files import save_preset
    from mirrorgan_tf.workdir import open_workdir

    save_preset(open_workdir(values.workdir), values.out, values.dtype)
    logging.info("preset: %s", values.out)


if __name__ == "__main__":
    commands.run(main, define_flags)
