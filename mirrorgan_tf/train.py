"""Trains MirrorGAN: `mirrorgan train --recipe=birdlets --workdir=runs/birdlets`.

Trains the text encoder STEM, the captioner STREAM and the generator GLAM one after the
other, and writes checkpoints, pictures and TensorBoard logs to --workdir. Finished
stages are left out, and an interrupted training continues with the same command. Small
backbones are first trained on the data set's labels (--image_encoder_weights=backbone).
"""

from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config import STAGES, config_flags
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

__all__ = ["define_flags", "main"]


def define_flags() -> None:
    """Defines the command's flags."""
    config_flags.define_flags()
    define_path("workdir", "runs/birdlets", "Folder of the run.")
    flags.DEFINE_list(
        "stages",
        [],
        f"Stages to train, of {','.join(STAGES)} (backbone only with "
        "--image_encoder_weights=backbone). Default: all that are not finished.",
    )
    flags.DEFINE_bool(
        "dry_run",
        False,
        "Build all networks, print their sizes, run a few steps of each stage on "
        "random data and estimate the time of the whole training. Needs no data.",
    )


def main() -> None:
    """Trains the stages that the flags name."""
    config = config_flags.config_from_flags()
    chosen = _chosen_stages(config)
    commands.require_settings("train")
    # TensorFlow takes seconds to import: --help and wrong flags are answered before.
    commands.start_keras()
    import tensorflow as tf

    from mirrorgan_tf import training_run
    from mirrorgan_tf.data.bad_examples import data_errors
    from mirrorgan_tf.training.dry_run import dry_run
    from mirrorgan_tf.training.signals import Stopped, StopSignals

    strategy = training_run.prepare_devices(config)
    training_run.check_batch_sizes(config, chosen or config.stages, strategy)
    if flags.FLAGS.dry_run:
        dry_run(config, strategy)
        return
    with StopSignals() as signals:
        try:
            with data_errors():
                workdir = Path(flags.FLAGS.workdir)
                training_run.train(config, workdir, chosen, strategy, signals)
        except Stopped:
            logging.info(
                "stopped; all progress is saved; continue with: %s",
                commands.command_line(),
            )
        except (tf.errors.UnavailableError, tf.errors.AbortedError):
            raise UserError(
                "the connection to another worker is lost; the last checkpoint is "
                "intact: start the command again on every worker"
            ) from None


def _chosen_stages(config):
    chosen = flags.FLAGS.stages
    unknown = set(chosen) - set(config.stages)
    if unknown:
        raise UserError(
            f"--stages={','.join(chosen)}: there is no stage {sorted(unknown)[0]!r}; "
            f"choose from {', '.join(config.stages)}"
        )
    return chosen


if __name__ == "__main__":
    commands.run(main, define_flags)
