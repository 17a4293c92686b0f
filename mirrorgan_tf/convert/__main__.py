"""Converts the original's PyTorch checkpoints to a workdir.

mirrorgan convert --dataset=cub --text_encoder=text_encoder200.pth
--image_encoder=image_encoder200.pth --captions_pickle=captions.pickle
--workdir=runs/cub_official [--generator=netG_epoch_600.pth
--discriminators=netD0.pth,netD1.pth,netD2.pth] [--caption_cnn=cnn_encoder.ckpt
--caption_rnn=rnn_decoder.ckpt]

`train`, `generate`, `evaluate` and `export` can use the workdir. .pth (.pt, .ckpt, ...)
needs PyTorch and .safetensors the package of that name; the extra `torch` installs
both. .npz needs neither. The sizes of the networks come from the files, other settings
from flags, from --flagfile or from the recipe of --dataset.
"""

import shlex
from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config import SETTINGS, Config, config_flags
from mirrorgan_tf.config.flagfiles import recipe_names, recipe_path
from mirrorgan_tf.config.path_flags import (
    define_multi_path,
    define_path,
    define_path_list,
)
from mirrorgan_tf.errors import UserError

__all__ = ["define_flags", "main", "pick_file", "read_settings"]

# Settings that differ between data sets and are not in checkpoints.
_RECIPE_SETTINGS = ("max_words", "stem_steps", "stream_steps", "glam_steps")
_FILES = {
    "generator": "netG*.pth of AttnGAN or MirrorGAN.",
    "caption_cnn": "STREAM's image encoder.",
    "caption_rnn": "STREAM's decoder.",
}
# Flags that name files in this command, but networks in other commands.
_FILES_NAMED_LIKE_SETTINGS = ("text_encoder", "image_encoder")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the command's flags."""
    config_flags.define_flags(flag_values)
    into = {"flag_values": flag_values}
    define_path("workdir", None, "Folder to create.", **into)
    for name, text in _FILES.items():
        define_path(name, "", text, **into)
    for name in _FILES_NAMED_LIKE_SETTINGS:
        define_multi_path(
            name,
            [],
            f"AttnGAN's {name}*.pth (DAMSM). The name of a network that a "
            "flagfile has for this flag is ignored.",
            allow_override=True,
            **into,
        )
    define_path_list(
        "discriminators", [], "netD0.pth,netD1.pth,... of the generator.", **into
    )
    flags.DEFINE_integer(
        "generator_step",
        None,
        "Training steps of the generator so far; default: --glam_steps, so that its "
        "training is complete.",
        lower_bound=0,
        **into,
    )


def main() -> None:
    """Converts the files, and logs the next commands."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir is missing; give the folder to create")
    config, explicit_settings = read_settings(values)
    # Wrong flags are reported before Keras is imported, which takes seconds.
    commands.start_keras()
    from mirrorgan_tf.convert.conversion import convert
    from mirrorgan_tf.convert.parts import Checkpoints

    checkpoints = Checkpoints(
        **{name: pick_file(values[name].value) for name in _FILES_NAMED_LIKE_SETTINGS},
        discriminators=tuple(values.discriminators),
        **{name: values[name].value for name in _FILES},
    )
    convert(
        checkpoints,
        config,
        Path(values.workdir),
        explicit_settings=explicit_settings,
        generator_step=values.generator_step,
    )
    logging.info("%s: written", values.workdir)
    flagfile = shlex.quote(f"--flagfile={values.workdir}/flags.cfg")
    workdir = shlex.quote(f"--workdir={values.workdir}")
    logging.info(
        "to continue training, for example to a larger --glam_steps: "
        "mirrorgan train %s %s --data_dir=...",
        flagfile,
        workdir,
    )
    if checkpoints.generator:
        logging.info("to generate images: mirrorgan generate %s 'a red bird'", workdir)


def read_settings(values: flags.FlagValues) -> tuple[Config, frozenset[str]]:
    """Returns the configuration, and the names of the settings that the user has set.

    Raises:
        UserError: --dataset is missing, it has no recipe and settings are missing, or a
            value is invalid.
    """
    names = {setting.flag for setting in SETTINGS}
    names -= set(_FILES_NAMED_LIKE_SETTINGS)
    explicit = frozenset(name for name in names if values[name].present)
    if "dataset" not in explicit:
        raise UserError("--dataset is missing; give the networks' training data")
    if values.dataset in recipe_names():
        recipe = recipe_path(values.dataset)
        config = config_flags.read_config(recipe, ignored=["workdir"])
    else:
        # The default values are CUB's and may be wrong for this data set.
        missing = [f"--{name}" for name in _RECIPE_SETTINGS if name not in explicit]
        if missing:
            raise UserError(
                f"there is no recipe for --dataset={values.dataset}; set "
                f"{', '.join(missing)}, or name a --recipe or --flagfile"
            )
        config = Config()
    settings = {name: values[name].value for name in explicit}
    return config.replace(**settings), explicit


def pick_file(values: list[str]) -> str:
    """Returns the last value of a flag that is not the name of a network, or ""."""
    # These imports take seconds, and so they are not needed for `--help`.
    from mirrorgan_tf.models.backbones import BACKBONES
    from mirrorgan_tf.networks import TEXT_ENCODERS

    names = {*BACKBONES, *TEXT_ENCODERS}
    return next((value for value in reversed(values) if value not in names), "")


if __name__ == "__main__":
    commands.run(main, define_flags)
