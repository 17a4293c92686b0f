"""The folder of a run: what it holds and how to open it.

`flags.cfg` (the run's flags), `vocabulary.txt`, a folder of checkpoints for each stage
(`stem`, `stream`, `glam`), `logs/` for TensorBoard, `pictures/`.
"""

import contextlib
import os
from pathlib import Path

from mirrorgan_tf.config import STAGES, Config
from mirrorgan_tf.config.config_flags import read_config, write_config
from mirrorgan_tf.config.groups import NAMED_WEIGHTS
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import locked_folder
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.networks import (
    build_glam,
    build_image_encoder,
    build_stream,
    build_text_encoder,
)
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.checkpoints import check_trained, restore_part

__all__ = ["lock_workdir", "open_image_encoder", "open_workdir", "start_workdir"]

FLAGS_FILE = "flags.cfg"
VOCABULARY_FILE = "vocabulary.txt"


def lock_workdir(path: Path) -> contextlib.AbstractContextManager[None]:
    """Creates the folder of a run if there is none, and locks it for this process.

    Raises:
        UserError: another training is running in it, or it cannot be written.
    """
    return locked_folder(path, flag="workdir", activity="training")


def start_workdir(path: Path, config: Config) -> None:
    """Creates the folder of a run, or checks that it has the same settings.

    The settings may change as long as no stage has begun.

    Raises:
        UserError: the folder belongs to a run of other flags, which are named, or
            cannot be written.
    """
    flags_path = path / FLAGS_FILE
    config = _with_absolute_paths(config)
    begun = any((path / stage).exists() for stage in STAGES)
    if begun and flags_path.exists():
        before = _with_absolute_paths(read_config(flags_path)).to_flags(runtime=False)
        now = config.to_flags(runtime=False)
        changed = [
            f"--{name}={now[name]} (was {before[name]})"
            for name in now
            if now[name] != before[name]
        ]
        if changed:
            raise UserError(
                f"{path} holds a run of other flags: {', '.join(changed)}; take those "
                "back or choose another --workdir"
            )
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_config(config, flags_path)
        if not begun:
            (path / VOCABULARY_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--workdir={path}: cannot be written: {error}") from None


def _with_absolute_paths(config):
    """The settings with paths that lead to the same files from any folder."""
    paths = {
        "data_dir": config.data.data_dir,
        "captions_pickle": config.text.captions_pickle,
    }
    for name, weights in (
        ("image_encoder_weights", config.encoders.image_encoder_weights),
        ("stream_encoder_weights", config.encoders.stream_encoder_weights),
    ):
        if weights not in NAMED_WEIGHTS:
            paths[name] = weights
    absolute = {name: os.path.abspath(path) for name, path in paths.items() if path}
    return config.replace(**absolute)


def _absolute_data_path(path, workdir):
    """The absolute path for a path in flags.cfg.

    Earlier versions wrote relative paths, as they were given in the folder in which the
    training was started. That folder is usually one of the folders above the workdir.
    """
    if path and not os.path.isabs(path):
        for folder in workdir.absolute().parents:
            if (folder / path).exists():
                return str(folder / path)
    return path


def _without_pretrained_weights(config):
    """The settings of networks that get every weight from checkpoints."""
    return config.replace(image_encoder_weights="none", stream_encoder_weights="none")


def open_image_encoder(model: MirrorGAN) -> ImageEncoder:
    """DAMSM's image encoder of a model's workdir; generating images does not need it.

    Raises:
        UserError: the checkpoint of stage stem lacks it or is damaged.
    """
    encoder = build_image_encoder(_without_pretrained_weights(model.config))
    restore_part(model.path / "stem", {"image_encoder": encoder})
    return encoder


def open_workdir(path: str | Path, *, ema: bool = True) -> MirrorGAN:
    """Opens a run for generating images.

    Args:
        path: the run's folder.
        ema: take the averaged generator; else the one that was trained last.

    Raises:
        UserError: it is no workdir, not trained yet, damaged, or of networks that
            this version does not build.
    """
    path = Path(path)
    if not (path / FLAGS_FILE).is_file():
        raise UserError(
            f"--workdir={path}: no {FLAGS_FILE} in it; give the folder of a training"
        )
    config = read_config(path / FLAGS_FILE)
    config = config.replace(
        data_dir=_absolute_data_path(config.data.data_dir, path),
        captions_pickle=_absolute_data_path(config.text.captions_pickle, path),
    )
    # A converted generator may have come without STREAM.
    with_stream = (path / "stream").exists() or not (path / "glam").exists()
    # Before the vocabulary: a run that has not begun has none.
    for stage in ("stem", "stream", "glam"):
        if stage != "stream" or with_stream:
            check_trained(path / stage)
    vocabulary = Vocabulary.load(path / VOCABULARY_FILE)
    networks = _without_pretrained_weights(config)
    stem = build_text_encoder(networks, len(vocabulary) + 1)
    stream = build_stream(networks, len(vocabulary) + 1) if with_stream else None
    glam = build_glam(networks)
    restore_part(path / "stem", {"stem": stem})
    if stream is not None:
        restore_part(path / "stream", {"stream": stream})
    step = restore_part(path / "glam", {"glam_ema" if ema else "glam": glam})
    return MirrorGAN(
        CaptionTokenizer(vocabulary, config.text.max_words),
        stem,
        glam,
        stream,
        config=config,
        step=step,
        path=path,
    )
