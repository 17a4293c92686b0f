"""The original's PyTorch checkpoints into a workdir.

python -m mirrorgan_tf.convert --dataset=cub --text_encoder=text_encoder200.pth
--image_encoder=image_encoder200.pth --captions_pickle=captions.pickle
--workdir=runs/cub_official [--generator=netG_epoch_600.pth
--discriminators=netD0.pth,netD1.pth,netD2.pth] [--caption_cnn=cnn_encoder.ckpt
--caption_rnn=rnn_decoder.ckpt]

What it makes, `train`, `generate`, `evaluate` and `python -m export` take as a run of
our own. .pth (.pt, .ckpt, ...) needs PyTorch, .npz and .safetensors do not. Sizes are
read off the files; the rest is what flags and --flagfile say, else flags/<dataset>.cfg.
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

# What no checkpoint tells and differs between data sets.
_RECIPE_SETTINGS = ("max_words", "stem_steps", "stream_steps", "glam_steps")
_FILES = {
    "generator": "netG*.pth of AttnGAN or MirrorGAN.",
    "caption_cnn": "STREAM's image encoder.",
    "caption_rnn": "STREAM's decoder.",
}
# Flags of files here, which are settings elsewhere.
_FILES_NAMED_LIKE_SETTINGS = ("text_encoder", "image_encoder")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the command's flags; not at import, where commands would collide."""
    config_flags.define_flags(flag_values)
    into = {"flag_values": flag_values}
    define_path("workdir", None, "Folder to make.", **into)
    for name, text in _FILES.items():
        define_path(name, "", text, **into)
    for name in _FILES_NAMED_LIKE_SETTINGS:
        define_multi_path(
            name,
            [],
            f"AttnGAN's {name}*.pth (DAMSM). In a flagfile it names a network, as "
            "elsewhere; that is ignored here.",
            allow_override=True,
            **into,
        )
    define_path_list(
        "discriminators", [], "netD0.pth,netD1.pth,... of the generator.", **into
    )
    flags.DEFINE_integer(
        "generator_step",
        None,
        "Steps that the generator has behind it; default: --glam_steps, so that "
        "nothing is left to train.",
        lower_bound=0,
        **into,
    )


def main() -> None:
    """Reads, converts, and says how to go on."""
    asked = flags.FLAGS
    if not asked.workdir:
        raise UserError("--workdir is missing; give the folder to make")
    config, given = read_settings(asked)
    # It takes seconds: not before --help and wrong flags are answered.
    commands.start_keras()
    from mirrorgan_tf.convert.conversion import convert
    from mirrorgan_tf.convert.parts import Checkpoints

    checkpoints = Checkpoints(
        **{name: pick_file(asked[name].value) for name in _FILES_NAMED_LIKE_SETTINGS},
        discriminators=tuple(asked.discriminators),
        **{name: asked[name].value for name in _FILES},
    )
    made = convert(
        checkpoints,
        config,
        Path(asked.workdir),
        given=given,
        generator_step=asked.generator_step,
    )
    logging.info("%s: %s", asked.workdir, "made" if made else "is there already")
    flagfile, workdir = (
        shlex.quote(f"--flagfile={asked.workdir}/flags.cfg"),
        shlex.quote(f"--workdir={asked.workdir}"),
    )
    logging.info(
        "to train what is left, or on to a larger --glam_steps: "
        "python -m mirrorgan_tf.train %s %s --data_dir=...",
        flagfile,
        workdir,
    )
    if checkpoints.generator:
        logging.info(
            "to make images: python -m mirrorgan_tf.generate %s "
            "--captions='a red bird'",
            workdir,
        )


def read_settings(asked: flags.FlagValues) -> tuple[Config, frozenset[str]]:
    """The configuration, and the settings that the user has given.

    Raises:
        UserError: there is no --dataset, no recipe of it nor the settings that one
            would have, or a value is bad.
    """
    names = {setting.flag for setting in SETTINGS}
    names -= set(_FILES_NAMED_LIKE_SETTINGS)
    given = frozenset(name for name in names if asked[name].present)
    if "dataset" not in given:
        raise UserError("--dataset is missing; give the one that was trained on")
    if asked.dataset in recipe_names():
        recipe = recipe_path(asked.dataset)
        config = config_flags.read_config(recipe, ignored=["workdir"])
    else:
        # The defaults are CUB's.
        missing = [f"--{name}" for name in _RECIPE_SETTINGS if name not in given]
        if missing:
            raise UserError(
                f"there is no recipe for --dataset={asked.dataset}; set "
                f"{', '.join(missing)}, or name a --recipe or --flagfile"
            )
        config = Config()
    return config.replace(**{name: asked[name].value for name in given}), given


def pick_file(values: list[str]) -> str:
    """The file among a flag's values; flagfiles add names of networks."""
    # The imports take seconds, and only this needs them.
    from mirrorgan_tf.models.backbones import BACKBONES
    from mirrorgan_tf.networks import TEXT_ENCODERS

    names = {*BACKBONES, *TEXT_ENCODERS}
    return next((value for value in reversed(values) if value not in names), "")


if __name__ == "__main__":
    commands.run(main, define_flags)
