"""The original's files: which network each is, and what it tells of the settings."""

import dataclasses

import numpy as np

from mirrorgan_tf.config import Config
from mirrorgan_tf.convert import sizes
from mirrorgan_tf.convert.files import read_state
from mirrorgan_tf.errors import UserError

__all__ = ["Checkpoints", "Part", "discriminator_parts", "read_parts", "settle"]

_INCEPTION = "inception_v3_torchvision"
_RESNET = "resnet152_torchvision"
# A parameter that no other network of the original has.
_SIGNATURES = {
    "text_encoder": "encoder.weight",
    "image_encoder": "emb_features.weight",
    "generator": "ca_net.fc.weight",
    "discriminators": "COND_DNET.outlogits.0.weight",
    "caption_cnn": "resnet.0.weight",
    "caption_rnn": "embed.weight",
}


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Files of the original's parameters, named as the command's flags are.

    Raises:
        UserError: files that go only together are not all there.
    """

    text_encoder: str
    image_encoder: str
    generator: str = ""
    discriminators: tuple[str, ...] = ()
    caption_cnn: str = ""
    caption_rnn: str = ""

    def __post_init__(self) -> None:
        for name in ("text_encoder", "image_encoder"):
            if not getattr(self, name):
                raise UserError(f"--{name} is missing; STEM takes both encoders")
        if self.discriminators and not self.generator:
            raise UserError("--discriminators: give their --generator too")
        if bool(self.caption_cnn) != bool(self.caption_rnn):
            raise UserError("--caption_cnn and --caption_rnn go together; give both")

    def files(self) -> list[tuple[str, str]]:
        """Flag and path of each file that is given."""
        pairs = []
        for field in dataclasses.fields(self):
            paths = getattr(self, field.name)
            paths = paths if isinstance(paths, tuple) else (paths,)
            pairs += [(field.name, path) for path in paths if path]
        return pairs


@dataclasses.dataclass(frozen=True)
class Part:
    """One file, read, and what it says of the settings."""

    flag: str
    path: str
    state: dict[str, np.ndarray]
    settings: dict

    def __str__(self) -> str:
        return f"--{self.flag}={self.path}"


def read_parts(checkpoints: Checkpoints) -> list[Part]:
    """Reads every file.

    Raises:
        UserError: one can't be read, or has another network's parameters.
    """
    return [_read_part(flag, path) for flag, path in checkpoints.files()]


def _read_part(flag, path):
    state = read_state(path)
    where = f"--{flag}={path}"
    if _SIGNATURES[flag] not in state:
        others = [other for other, name in _SIGNATURES.items() if name in state]
        are = f"of --{others[0]}" if others else f"{', '.join(list(state)[:3])}, ..."
        raise UserError(
            f"{where}: the parameters have no {_SIGNATURES[flag]}; they are {are}"
        )
    try:
        return Part(flag, path, state, _read_settings(flag, state))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _read_settings(flag, state):
    """The settings that one network's parameters tell; and `vocabulary_size`."""
    match flag:
        case "text_encoder":
            return sizes.stem_sizes(state)
        case "image_encoder":
            return sizes.image_encoder_sizes(state)
        case "generator":
            found, words_dim = sizes.glam_sizes(state)
            found["scales"] = found.pop("stages")
            found["generator_width"] = found.pop("width")
            return found | {"words_dim": words_dim}
        case "discriminators":
            found, words_dim = sizes.discriminator_sizes(state)
            return {"discriminator_width": found["width"], "words_dim": words_dim}
        case "caption_cnn":
            found = sizes.stream_encoder_sizes(state)
            return {"stream_embedding_dim": found["feature_dim"]}
        case "caption_rnn":
            found = sizes.stream_decoder_sizes(state)
            return {
                "vocabulary_size": found["vocabulary_size"],
                "stream_embedding_dim": found["embedding_dim"],
                "stream_hidden_dim": found["hidden_dim"],
            }


def settle(
    config: Config, parts: list[Part], vocabulary_size: int, given: frozenset[str]
) -> Config:
    """The configuration with what the files tell.

    Args:
        config: what they do not tell.
        parts: the files.
        vocabulary_size: words of the captions pickle, id 0 counted.
        given: settings that the user has said.

    Raises:
        UserError: files contradict each other or what was given.
    """
    told = {"vocabulary_size": (vocabulary_size, "--captions_pickle")}
    for part in parts:
        for name, value in part.settings.items():
            before, source = told.setdefault(name, (value, part))
            if before != value:
                raise UserError(
                    f"{part} has {name} {value}, but {source} has {before}; give files "
                    "of one model"
                )
    told.pop("vocabulary_size")
    flags = config.to_flags()
    for name in sorted(given & set(told)):
        asked, (value, source) = flags[name], told[name]
        if asked != value:
            raise UserError(
                f"--{name}={asked}: {source} has {value}; leave the flag out, or give "
                "the files it is true of"
            )
    settings = {name: value for name, (value, _) in told.items()}
    settings |= {"image_encoder": _INCEPTION, "image_encoder_weights": "none"}
    if any(part.flag == "caption_cnn" for part in parts):
        settings |= {"stream_encoder": _RESNET, "stream_encoder_weights": "none"}
    # vocabulary.txt has the words from now on.
    config = config.replace(captions_pickle="", **settings)
    sides = tuple(_side(part) for part in discriminator_parts(parts))
    if sides and sides != config.sizes:
        raise UserError(
            f"--discriminators: they judge images of {_listed(sides)} px, but the "
            f"generator makes {_listed(config.sizes)} px; give one of each"
        )
    return config


def discriminator_parts(parts: list[Part]) -> list[Part]:
    """Those of the discriminators, the smallest image's first."""
    return sorted((part for part in parts if part.flag == "discriminators"), key=_side)


def _side(part):
    found, _ = sizes.discriminator_sizes(part.state)
    return found["size"]


def _listed(numbers):
    return ", ".join(map(str, numbers))
