"""Every setting of a run: one frozen dataclass of groups, checked when it is built."""

import dataclasses
import math
from typing import Any

from mirrorgan_tf.config import groups, stage_groups
from mirrorgan_tf.errors import UserError

__all__ = ["GROUP_TITLES", "SETTINGS", "STAGES", "Config", "Setting", "StageSettings"]

# In the order of the training. Stage backbone exists only with
# --image_encoder_weights=backbone.
STAGES = ("backbone", "stem", "stream", "glam")

StageSettings = (
    stage_groups.BackboneStageSettings
    | stage_groups.StemStageSettings
    | stage_groups.StreamStageSettings
    | stage_groups.GlamStageSettings
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run. The defaults are the paper's for CUB.

    A setting is read as `config.glam.steps`. Functions that take settings by name use
    the names of their flags: `Config.from_flags(glam_steps=100)`.

    Raises:
        UserError: a value is out of its range or contradicts another.
    """

    data: groups.DataSettings = groups.DataSettings()
    birdlets: groups.BirdletsSettings = groups.BirdletsSettings()
    text: groups.TextSettings = groups.TextSettings()
    generator: groups.GeneratorSettings = groups.GeneratorSettings()
    discriminators: groups.DiscriminatorSettings = groups.DiscriminatorSettings()
    encoders: groups.EncoderSettings = groups.EncoderSettings()
    losses: groups.LossSettings = groups.LossSettings()
    backbone: stage_groups.BackboneStageSettings = stage_groups.BackboneStageSettings()
    stem: stage_groups.StemStageSettings = stage_groups.StemStageSettings()
    stream: stage_groups.StreamStageSettings = stage_groups.StreamStageSettings()
    glam: stage_groups.GlamStageSettings = stage_groups.GlamStageSettings()
    run: stage_groups.RunSettings = stage_groups.RunSettings()

    def __post_init__(self) -> None:
        values = self.to_flags()
        for setting in SETTINGS:
            setting.check(values[setting.flag])
        _check_sizes(self)
        _check_coco(self)
        _check_encoders(self)
        _check_losses(self)

    @classmethod
    def from_flags(cls, **values: Any) -> "Config":
        """A configuration with these values by flag names, the others by default.

        Raises:
            TypeError: there is no setting of a name.
            UserError: a value is out of its range or contradicts another.
        """
        return cls().replace(**values)

    def replace(self, **values: Any) -> "Config":
        """A copy with other values by flag names.

        Raises:
            TypeError: there is no setting of a name.
            UserError: a value is out of its range or contradicts another.
        """
        unknown = values.keys() - {setting.flag for setting in SETTINGS}
        if unknown:
            raise TypeError(f"there is no setting {min(unknown)!r}")
        fields = dataclasses.asdict(self)
        for setting in SETTINGS:
            if setting.flag in values:
                fields[setting.group][setting.name] = values[setting.flag]
        return Config(
            **{
                group.name: group.type(**fields[group.name])
                for group in dataclasses.fields(self)
            }
        )

    def to_flags(self, *, runtime: bool = True, paths: bool = True) -> dict[str, Any]:
        """Every setting by the name of its flag.

        Args:
            runtime: whether to include the settings that may change when a run is
                resumed. Checkpoints depend on the others.
            paths: whether to include paths, which mean nothing on other machines.
        """
        fields = dataclasses.asdict(self)
        return {
            setting.flag: fields[setting.group][setting.name]
            for setting in SETTINGS
            if (runtime or not setting.runtime) and (paths or not setting.path)
        }

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages of the training, in order."""
        own_backbone = self.encoders.image_encoder_weights == "backbone"
        return STAGES if own_backbone else STAGES[1:]

    def stage(self, name: str) -> StageSettings:
        """The settings of one stage."""
        return {
            "backbone": self.backbone,
            "stem": self.stem,
            "stream": self.stream,
            "glam": self.glam,
        }[name]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the cascade's images in px, ascending."""
        base = self.generator.base_size
        return tuple(base * 2**scale for scale in range(self.generator.scales))

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Sides in px of the images with feature discriminators, ascending."""
        if self.discriminators.feature_discriminator == "none":
            return ()
        sizes = self.discriminators.feature_discriminator_sizes
        if not sizes:
            return self.sizes[-1:]
        return tuple(size for size in self.sizes if str(size) in sizes.split(","))

    @property
    def one_frozen_backbone(self) -> bool:
        """Whether STREAM and DAMSM share one frozen backbone."""
        return (
            self.encoders.stream_encoder_weights == "stem"
            and self.encoders.image_encoder_weights == "backbone"
        )

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of the augmentations before the discriminators, in order."""
        names = self.discriminators.augment
        return tuple(names.split(",")) if names else ()


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting: its flag, where it stands in `Config`, and its bounds."""

    flag: str
    group: str
    name: str
    type: type
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...] | None
    runtime: bool
    path: bool

    def check(self, value: Any) -> None:
        """Raises UserError if a value is not allowed."""
        flag = f"--{self.flag}={value}"
        if isinstance(value, str) and (
            value != value.strip() or not value.isprintable()
        ):
            # flags.cfg has one flag a line and could not hold it.
            raise UserError(
                f"--{self.flag}={value!r}: must not have line breaks, control "
                "characters, or spaces at its ends"
            )
        if self.choices is not None and value not in self.choices:
            raise UserError(f"{flag}: must be one of {', '.join(self.choices)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{flag}: must be a finite number")
        high = self.high
        if high is None and self.type is int:
            high = 2**31 - 1
        if self.low is not None and value < self.low:
            raise UserError(f"{flag}: must be at least {self.low}")
        if high is not None and value > high:
            raise UserError(f"{flag}: must be at most {high}")


def _all_settings() -> tuple[Setting, ...]:
    return tuple(
        Setting(
            group=group.name,
            name=field.name,
            type=field.type,
            default=field.default,
            **field.metadata | {"flag": field.metadata["flag"] or field.name},
        )
        for group in dataclasses.fields(Config)
        for field in dataclasses.fields(group.type)
    )


# Every setting of a run, group by group.
SETTINGS = _all_settings()

# What the settings of each group are about.
GROUP_TITLES = {
    group.name: group.type.__doc__.splitlines()[0].removesuffix(".")
    for group in dataclasses.fields(Config)
}


def _check_sizes(config: Config) -> None:
    generator, discriminators = config.generator, config.discriminators
    if generator.base_size not in (16, 32, 64, 128, 256):
        raise UserError(
            f"--base_size={generator.base_size}: must be a power of 2, 16 to 256"
        )
    if generator.scales > 4:
        raise UserError(f"--scales={generator.scales}: must be 1 to 4 (paper: 3)")
    names = config.augmentations
    for i, name in enumerate(names):
        if name not in groups.AUGMENTATIONS or name in names[:i]:
            raise UserError(
                f"--augment={discriminators.augment}: {name!r} is repeated or unknown; "
                f"choose from {', '.join(groups.AUGMENTATIONS)}, each at most once"
            )
    sides = [str(size) for size in config.sizes]
    for size in discriminators.feature_discriminator_sizes.split(","):
        if size and size not in sides:
            raise UserError(
                "--feature_discriminator_sizes="
                f"{discriminators.feature_discriminator_sizes}: the generator has no "
                f"images of {size} px; choose from {', '.join(sides)}"
            )


def _check_coco(config: Config) -> None:
    data = config.data
    if not data.coco_train_json:
        for flag, value in (
            ("coco_images", data.coco_images),
            ("coco_val_json", data.coco_val_json),
        ):
            if value:
                raise UserError(f"--{flag}={value}: needs --coco_train_json")
    if data.coco_val_images and not data.coco_val_json:
        raise UserError(
            f"--coco_val_images={data.coco_val_images}: needs --coco_val_json"
        )


def _check_losses(config: Config) -> None:
    every = config.losses.r1_every
    if every > 1 and config.discriminators.normalization:
        # The penalty has a pass of its own, which must not move the batch norms.
        raise UserError(
            f"--r1_every={every}: needs --nodiscriminator_normalization; or leave it "
            "out"
        )


def _check_encoders(config: Config) -> None:
    encoders = config.encoders
    if (
        encoders.stream_encoder_weights == "stem"
        and encoders.stream_encoder != encoders.image_encoder
    ):
        raise UserError(
            "--stream_encoder_weights=stem: needs --stream_encoder="
            f"{encoders.image_encoder}, the --image_encoder"
        )
    if (
        encoders.image_encoder_weights == "backbone"
        and encoders.image_encoder != "small"
    ):
        raise UserError(
            "--image_encoder_weights=backbone: needs --image_encoder=small, not "
            f"{encoders.image_encoder}"
        )
    if encoders.words_dim % 2:
        raise UserError(
            f"--words_dim={encoders.words_dim}: must be even, a half for each LSTM "
            "direction"
        )
