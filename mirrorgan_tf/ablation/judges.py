"""STEM and STREAM that all runs share: frozen, and in every run's folder the same."""

import filecmp
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import whole_folder
from mirrorgan_tf.training.checkpoints import check_trained, saved_step
from mirrorgan_tf.workdir import FLAGS_FILE, VOCABULARY_FILE, start_workdir

__all__ = ["begin_with", "check_finished", "stages_behind"]

_FROZEN = ("stem", "stream")
# Settings that they depend on, besides those that bear their names.
_SHARED = (
    "dataset",
    "birdlets_train_images",
    "birdlets_val_images",
    "flip",
    "max_words",
    "min_word_count",
    "embedding_dim",
    "words_dim",
    "image_encoder",
    "image_encoder_weights",
    "small_width",
    "gamma1",
    "gamma2",
    "gamma3",
)


def stages_behind(folder: Path, base: Config, begun: Sequence[str]) -> list[str]:
    """Those of the stages before GLAM that are to be trained in `folder`.

    The folder is made if need be.

    Args:
        folder: the judges' workdir.
        base: the flags.
        begun: names of the runs that have copies already.

    Raises:
        UserError: the folder is of other flags, or runs have begun with what is
            trained so far: it must not change under them.
    """
    start_workdir(folder, base)
    stages = [stage for stage in base.stages if stage != "glam"]
    done = {stage: saved_step(folder / stage) for stage in stages}
    steps = {stage: getattr(base, f"{stage}_steps") for stage in stages}
    behind = [stage for stage in stages if done[stage] < steps[stage]]
    if behind and begun:
        raise UserError(
            f"--{behind[0]}_steps={steps[behind[0]]} (was {done[behind[0]]}): "
            f"{begun[0]} has begun with what was trained; take it back or choose "
            "another --workdir"
        )
    return behind


def check_finished(folder: Path, base: Config) -> None:
    """Raises UserError unless STEM and STREAM are trained there, with these flags."""
    if not (folder / FLAGS_FILE).is_file():
        raise UserError(
            f"--judges={folder}: no {FLAGS_FILE} in it; give the --workdir of a "
            "training"
        )
    for stage in _FROZEN:
        check_trained(folder / stage)
    theirs = _depends_on(read_config(folder / FLAGS_FILE))
    changed = [
        f"{name}={value} (was {theirs[name]})"
        for name, value in _depends_on(base).items()
        if value != theirs[name]
    ]
    if changed:
        raise UserError(
            f"--judges={folder}: a run of other flags: {', '.join(changed)}; take "
            "those back or leave --judges out"
        )


def begin_with(judges: Path, run: Path) -> None:
    """Makes a run's folder with the judges in it, or checks those in the one there.

    Raises:
        UserError: it can't be made, or holds others.
    """
    if not run.exists():
        try:
            with whole_folder(run) as folder:
                folder.mkdir()
                for stage in _FROZEN:
                    shutil.copytree(
                        judges / stage, folder / stage, copy_function=_link_or_copy
                    )
                shutil.copy2(judges / VOCABULARY_FILE, folder)
        except (OSError, shutil.Error) as error:
            raise UserError(f"{run}: can't be made ({error})") from None
    for stage in _FROZEN:
        if not _same_checkpoints(judges / stage, run / stage):
            raise UserError(
                f"{run / stage} is not that of {judges}, which all runs must share; "
                "choose another --workdir"
            )


def _depends_on(config):
    """What STEM and STREAM depend on: flags, and the side of their images."""
    return {
        f"--{name}": value
        for name, value in config.to_flags(runtime=False).items()
        if name in _SHARED or name.startswith(("backbone_", "stem_", "stream_"))
    } | {"side of the last image": config.sizes[-1]}


def _same_checkpoints(one, other):
    """Whether two folders hold the same; an index holds checksums of all tensors."""
    names = sorted(path.name for path in one.glob("*.index"))
    if names != sorted(path.name for path in other.glob("*.index")):
        return False
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


def _link_or_copy(source, target):
    """Checkpoints are never written into: a link to one is as good as a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
