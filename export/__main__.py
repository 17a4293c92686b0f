"""`python -m export --workdir=runs/birdlets --out=served/birdlets`.

Writes the run's averaged generator as a SavedModel, in the next version folder of
--out. Its signature `serving_default` turns `caption` (string [N]) into `image`
(uint8 [N, H, W, 3]).
"""

from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.commands import UserError


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("workdir", None, "Folder of a trained run.")
    flags.DEFINE_string("out", None, "Folder of all versions of the served model.")
    flags.DEFINE_integer(
        "version", None, "Version to write, from 1; default: the next one in --out."
    )


def main() -> None:
    """Opens the run and saves it."""
    asked = flags.FLAGS
    for name in ("workdir", "out"):
        if not asked[name].value:
            raise UserError(f"--{name} is missing; give --workdir=RUN --out=FOLDER")
    # TensorFlow is imported late, so that --help and wrong flags answer at once.
    from export.versions import choose_version, save_version
    from mirrorgan_tf.serving.served_model import ServedModel
    from mirrorgan_tf.workdir import open_workdir

    out = Path(asked.out)
    version = choose_version(out, asked.version)
    run = open_workdir(asked.workdir)
    model = ServedModel(run.tokenizer, run.stem, run.glam, run.stream)
    target = save_version(model, model.endpoints, out, version)
    side = run.config.sizes[-1]
    logging.info(
        "%s: serving_default, caption string [N] -> image uint8 [N, %d, %d, 3]",
        target,
        side,
        side,
    )


if __name__ == "__main__":
    define_flags()
    commands.run(main)
