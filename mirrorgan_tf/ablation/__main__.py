"""`python -m mirrorgan_tf.ablation --flagfile=flags/ablation.cfg`: the paper's table 3.

Trains STEM and STREAM once, then GLAM again and again, each time without another part
of MirrorGAN, and lets the same judges look at the same captions' images. Birdlets only:
there the truth about captions is known.

--workdir holds judges/, oracle/, runs/VARIANT-seedN/ and, written anew after every run,
report.md, report.json, plot.png and images.png. The same line goes on where it was
stopped.
"""

import shlex
import sys
from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.ablation.variants import BASELINE, CLAIMS, VARIANTS, plan_runs
from mirrorgan_tf.config import config_flags
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training.signals import Stopped, StopSignals

__all__ = ["define_flags", "main"]


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the command's flags; not at import, where commands would collide."""
    config_flags.define_flags(flag_values)
    into = {"flag_values": flag_values}
    define_path("workdir", "runs/ablation", "Folder of the ablation.", **into)
    define_path(
        "judges",
        None,
        "A finished run whose STEM and STREAM are taken; default: they are trained.",
        **into,
    )
    flags.DEFINE_list(
        "variants", list(CLAIMS), "What is compared, in the tables' order.", **into
    )
    flags.DEFINE_integer(
        "seeds", 3, "Seeds of --repeated, from --seed on.", lower_bound=1, **into
    )
    flags.DEFINE_list(
        "repeated",
        [BASELINE, "lambda0"],
        "Variants that are run with all seeds; the others with the first.",
        **into,
    )
    flags.DEFINE_integer(
        "evaluate_captions",
        1000,
        "Captions that each run draws, at most.",
        # R-precision's own caption and 99 others.
        lower_bound=100,
        **into,
    )


def main() -> None:
    """Plans the runs and does what is left of them."""
    asked = flags.FLAGS
    base = config_flags.config_from_flags(asked)
    if base.dataset != "birdlets":
        raise UserError(
            f"--dataset={base.dataset}: the ablation is of birdlets, where the truth "
            "about captions is known"
        )
    workdir = Path(asked.workdir)
    runs = plan_runs(
        base,
        workdir / "runs",
        variants=asked.variants,
        repeated=asked.repeated,
        seeds=asked.seeds,
    )
    if not runs:
        raise UserError("--variants is empty; leave it out to compare all")
    # It takes seconds: not before --help and wrong flags are answered.
    commands.start_keras()
    from mirrorgan_tf.ablation.running import Ablation

    with StopSignals():
        try:
            Ablation(
                workdir,
                base,
                runs,
                variants=[VARIANTS[name] for name in asked.variants],
                judges=Path(asked.judges) if asked.judges else None,
                captions=asked.evaluate_captions,
            ).run()
        except Stopped:
            logging.info(
                "stopped; what is done is saved, to go on: "
                "python -m mirrorgan_tf.ablation %s",
                shlex.join(sys.argv[1:]),
            )


if __name__ == "__main__":
    commands.run(main, define_flags)
