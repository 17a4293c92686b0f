"""Reads the original's files, and the settings that they determine."""

import dataclasses

import numpy as np

from mirrorgan_tf.config import Config
from mirrorgan_tf.convert import sizes
from mirrorgan_tf.convert.files import read_state
from mirrorgan_tf.errors import UserError

__all__ = ["Checkpoints", "Part", "discriminator_parts", "read_parts", "resolve_config"]

# For each network a parameter that no other network of the original has.
_UNIQUE_PARAMETERS = {
    "text_encoder": "encoder.weight",
    "image_encoder": "emb_features.weight",
    "generator": "ca_net.fc.weight",
    "discriminators": "COND_DNET.outlogits.0.weight",
    "caption_cnn": "resnet.0.weight",
    "caption_rnn": "embed.weight",
}


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Files of the original's parameters, with the names of the command's flags.

    Raises:
        UserError: a file is missing that another one needs.
    """

    text_encoder: str
    image_encoder: str
    generator: str = ""
    discriminators: tuple[str, ...] = ()
    caption_cnn: str = ""
    caption_rnn: str = ""

    def __post_init__(self) -> None:
        for flag, path in (
            ("text_encoder", self.text_encoder),
            ("image_encoder", self.image_encoder),
        ):
            if not path:
                raise UserError(f"--{flag} is missing; STEM needs both encoders")
        if self.discriminators and not self.generator:
            raise UserError("--discriminators: give their --generator too")
        if bool(self.caption_cnn) != bool(self.caption_rnn):
            raise UserError("--caption_cnn and --caption_rnn go together; give both")

    def files(self) -> list[tuple[str, str]]:
        """Flag and path of each file."""
        pairs = []
        for flag, paths in dataclasses.asdict(self).items():
            paths = paths if isinstance(paths, tuple) else (paths,)
            pairs += [(flag, path) for path in paths if path]
        return pairs


@dataclasses.dataclass(frozen=True)
class Part:
    """The content of one file, and the settings that it determines."""

    flag: str
    path: str
    state: dict[str, np.ndarray]
    settings: dict

    def __str__(self) -> str:
        return f"--{self.flag}={self.path}"


def read_parts(checkpoints: Checkpoints) -> list[Part]:
    """Reads every file.

    Raises:
        UserError: a file can't be read, or has another network's parameters.
    """
    return [_read_part(flag, path) for flag, path in checkpoints.files()]


def _read_part(flag, path):
    state = read_state(path)
    if _UNIQUE_PARAMETERS[flag] not in state:
        others = [other for other, name in _UNIQUE_PARAMETERS.items() if name in state]
        content = (
            f"of --{others[0]}" if others else f"{', '.join(list(state)[:3])}, ..."
        )
        raise UserError(
            f"--{flag}={path}: there is no parameter {_UNIQUE_PARAMETERS[flag]}; the "
            f"parameters are {content}"
        )
    try:
        return Part(flag, path, state, _infer_settings(flag, state))
    except UserError as error:
        raise UserError(f"--{flag}={path}: {error}") from None


def _infer_settings(flag, state):
    """The settings that a network's parameters determine, and `vocabulary_size`."""
    match flag:
        case "text_encoder":
            return sizes.stem_sizes(state)
        case "image_encoder":
            return sizes.image_encoder_sizes(state)
        case "generator":
            arguments, words_dim = sizes.glam_sizes(state)
            arguments["scales"] = arguments.pop("stages")
            arguments["generator_width"] = arguments.pop("width")
            return arguments | {"words_dim": words_dim}
        case "discriminators":
            arguments, words_dim = sizes.discriminator_sizes(state)
            return {"discriminator_width": arguments["width"], "words_dim": words_dim}
        case "caption_cnn":
            arguments = sizes.stream_encoder_sizes(state)
            return {"stream_embedding_dim": arguments["feature_dim"]}
        case "caption_rnn":
            arguments = sizes.stream_decoder_sizes(state)
            return {
                "vocabulary_size": arguments["vocabulary_size"],
                "stream_embedding_dim": arguments["embedding_dim"],
                "stream_hidden_dim": arguments["hidden_dim"],
            }


def resolve_config(
    config: Config,
    parts: list[Part],
    vocabulary_size: int,
    explicit_settings: frozenset[str],
) -> Config:
    """Replaces the settings that the files determine.

    Args:
        config: all other settings.
        parts: the files.
        vocabulary_size: number of ids in the captions pickle, 0 included.
        explicit_settings: names of the settings that the user has set.

    Raises:
        UserError: files contradict each other or the user's settings.
    """
    sources = {"vocabulary_size": (vocabulary_size, "--captions_pickle")}
    for part in parts:
        for name, value in part.settings.items():
            first_value, source = sources.setdefault(name, (value, part))
            if first_value != value:
                raise UserError(
                    f"{part} has {name} {value}, but {source} has {first_value}; give "
                    "files of one model"
                )
    sources.pop("vocabulary_size")
    flags = config.to_flags()
    for name in sorted(explicit_settings & set(sources)):
        value, source = sources[name]
        if flags[name] != value:
            raise UserError(
                f"--{name}={flags[name]}: {source} has {value}; leave the flag out, or "
                "give the files of such a model"
            )
    settings = {name: value for name, (value, _) in sources.items()}
    settings |= {
        "image_encoder": "inception_v3_torchvision",
        "image_encoder_weights": "none",
    }
    if any(part.flag == "caption_cnn" for part in parts):
        settings |= {
            "stream_encoder": "resnet152_torchvision",
            "stream_encoder_weights": "none",
        }
    # The workdir has a vocabulary.txt, and so it needs no captions pickle.
    config = config.replace(captions_pickle="", **settings)
    image_sizes = tuple(map(_image_size, discriminator_parts(parts)))
    if image_sizes and image_sizes != config.sizes:
        raise UserError(
            f"--discriminators: they take images of {', '.join(map(str, image_sizes))} "
            f"px, but the generator has images of {', '.join(map(str, config.sizes))} "
            "px; give one for each"
        )
    return config


def discriminator_parts(parts: list[Part]) -> list[Part]:
    """The discriminators in the order of their image sizes."""
    discriminators = [part for part in parts if part.flag == "discriminators"]
    return sorted(discriminators, key=_image_size)


def _image_size(part):
    arguments, _ = sizes.discriminator_sizes(part.state)
    return arguments["size"]
