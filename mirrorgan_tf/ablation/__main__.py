"""Compares variants of the model: `mirrorgan ablation --recipe=ablation`.

Trains STEM and STREAM once, then stage glam for each variant and seed, evaluates each
run, and writes report.md and report.json into --workdir after every run. Each line of a
sweep file describes a variant: a name, a description, and the flags in which it differs
from the recipe. The same command resumes an interrupted ablation.
"""

from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.ablation.sweep import plan_runs, read_sweep
from mirrorgan_tf.config import config_flags
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

__all__ = ["define_flags", "main"]

_METRICS = ("r_precision", "redescription", "fid", "kid", "precision_recall")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the command's flags; not at import, where commands would collide."""
    config_flags.define_flags(flag_values)
    options = {"flag_values": flag_values}
    define_path("workdir", "runs/ablation", "Folder of the ablation.", **options)
    define_path(
        "pretrained",
        None,
        "A finished run whose STEM and STREAM are used; default: they are trained.",
        **options,
    )
    define_path(
        "sweep",
        "redescription",
        "What is compared: a sweep file, or the name of one in the package: "
        "redescription (the recipe with and without it), paper (its table 3), "
        "after_2019 (later techniques).",
        **options,
    )
    flags.DEFINE_list(
        "variants",
        [],
        "Variants of the sweep in the order of the table, the baseline first; "
        "default: all.",
        **options,
    )
    flags.DEFINE_integer(
        "seeds", 3, "Number of seeds, from --seed on.", lower_bound=1, **options
    )
    flags.DEFINE_list(
        "repeated",
        [],
        "Variants that are run with all seeds, the others with the first; default: "
        "all.",
        **options,
    )
    flags.DEFINE_integer(
        "evaluate_captions",
        1000,
        "Validation captions that are rendered for each run, at most.",
        # R-precision compares a caption with 99 others.
        lower_bound=100,
        **options,
    )


def main() -> None:
    """Plans the runs, and trains and evaluates those that are not finished."""
    values = flags.FLAGS
    commands.require_settings("ablation")
    recipe = config_flags.config_from_flags(values)
    workdir = Path(values.workdir)
    if (workdir / "flags.cfg").exists():
        raise UserError(f"--workdir={workdir} holds a training; choose another folder")
    sweep = read_sweep(values.sweep)
    names = _choose(values, "variants", list(sweep))
    repeated = _choose(values, "repeated", names)
    runs = plan_runs(recipe, [sweep[name] for name in names], repeated, values.seeds)
    # Importing Keras takes seconds; wrong flags are reported before.
    commands.start_keras()
    from mirrorgan_tf.ablation.runner import run_ablation
    from mirrorgan_tf.data.registry import find_dataset
    from mirrorgan_tf.training.signals import Stopped, StopSignals

    metrics = [*_METRICS, *find_dataset(recipe).metrics()]
    evaluate_flags = [
        f"--metrics={','.join(metrics)}",
        "--features=autoencoder",
        # The evaluation's own networks are trained once for all runs.
        f"--networks_dir={workdir / 'evaluation_networks'}",
        "--neighbour_images=0",
    ]
    with StopSignals():
        try:
            run_ablation(
                workdir,
                recipe,
                runs,
                pretrained=Path(values.pretrained) if values.pretrained else None,
                captions=values.evaluate_captions,
                evaluate_flags=evaluate_flags,
            )
        except Stopped:
            logging.info(
                "stopped; all progress is saved; continue with: %s",
                commands.command_line(),
            )


def _choose(values, flag, choices):
    """The names of a list flag, or all choices if it is empty."""
    names = values[flag].value
    for name in names:
        if name not in choices or names.count(name) > 1:
            reason = "occurs twice" if name in choices else "is no variant"
            raise UserError(
                f"--{flag}={','.join(names)}: {name!r} {reason}; choose from "
                f"{', '.join(choices)}"
            )
    return names or choices


if __name__ == "__main__":
    commands.run(main, define_flags)
