"""Every setting of a run: one frozen dataclass, checked when it is built.

The fields are the flags (see `options`), so a setting is named, explained and
bounded in one place.
"""

import dataclasses
import math
from typing import Any

from mirrorgan_tf.commands import UserError

__all__ = ["STAGES", "Config", "setting_help"]

# In their order; backbone is left out where none is trained.
STAGES = ("backbone", "stem", "stream", "glam")

# Those of torchvision are for converted checkpoints.
_BACKBONES = (
    "small",
    "inception_v3",
    "resnet152",
    "inception_v3_torchvision",
    "resnet152_torchvision",
)

_AUGMENTATIONS = ("color", "translation", "cutout")


def _setting(
    default,
    help_text,
    *,
    low=None,
    high=None,
    choices=None,
    runtime=False,
    path=False,
):
    """One field; `runtime` settings may differ when a run is taken up again."""
    return dataclasses.field(
        default=default,
        metadata={
            "help": help_text,
            "low": low,
            "high": high,
            "choices": choices,
            "runtime": runtime,
            "path": path,
        },
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are the paper's on CUB unless noted.

    Raises:
        UserError: a value is out of its range or does not go with another.
    """

    # Data
    dataset: str = _setting(
        "birdlets",
        "Data set: birdlets is drawn on demand, the others are read.",
        choices=("birdlets", "coco", "cub", "folder"),
    )
    data_dir: str = _setting(
        "data/birdlets", "Folder of the data set.", runtime=True, path=True
    )
    birdlets_train_images: int = _setting(
        4000, "Training images to draw (birdlets).", low=1
    )
    birdlets_val_images: int = _setting(
        500, "Validation images to draw (birdlets).", low=1
    )
    coco_images: str = _setting(
        "",
        "Your own images in COCO's format: their folder, beside their JSON or else in "
        "data_dir (coco).",
        runtime=True,
        path=True,
    )
    coco_val_images: str = _setting(
        "",
        "Those of --coco_val_json, if they lie in another folder than coco_images.",
        runtime=True,
        path=True,
    )
    coco_train_json: str = _setting(
        "",
        "Your own captions in COCO's format, in data_dir (coco).",
        runtime=True,
        path=True,
    )
    coco_val_json: str = _setting(
        "",
        "Those for validation; without, a val_share of the others is taken.",
        runtime=True,
        path=True,
    )
    val_share: float = _setting(
        0.1,
        "Part of the images for validation, where a set has no split of its own: "
        "folder, or coco with one JSON.",
        low=0,
        high=1,
    )
    cache_images: bool = _setting(
        False, "Keep decoded images in memory (small sets).", runtime=True
    )
    on_bad_example: str = _setting(
        "fail",
        "What to do about an image that can't be read: fail, or skip it and log its "
        "name; above 1 % bad ones skip fails too.",
        choices=("fail", "skip"),
        runtime=True,
    )
    flip: bool = _setting(
        True, "Mirror training images at random; not where captions say left."
    )
    max_words: int = _setting(18, "L: words of a caption that are used.", low=1)
    min_word_count: int = _setting(
        1, "A word enters the vocabulary from this many uses.", low=1
    )
    captions_pickle: str = _setting(
        "",
        "AttnGAN's captions.pickle: take its words and their ids, as its encoders "
        "need; else the data set's own words.",
        runtime=True,
        path=True,
    )

    # Networks
    base_size: int = _setting(64, "Side of the first image in px, a power of 2.")
    scales: int = _setting(3, "Images in the cascade, each twice as big.", low=1)
    generator_width: int = _setting(32, "ngf: channels of a generator stage.", low=1)
    residual_blocks: int = _setting(2, "Residual blocks of a later stage.", low=0)
    discriminator_width: int = _setting(
        64, "ndf: channels of the discriminators' first layer.", low=1
    )
    spectral_norm: bool = _setting(
        False, "Spectral normalisation of the discriminators' kernels (paper: none)."
    )
    feature_discriminator: str = _setting(
        "none",
        "Adds discriminators of the feature maps of a frozen network: image_encoder "
        "(DAMSM's backbone) or stream_encoder (STREAM's); none is the paper's.",
        choices=("none", "image_encoder", "stream_encoder"),
    )
    feature_discriminator_sizes: str = _setting(
        "",
        "Sides in px of the images that they judge, comma-separated; empty: the last "
        "image of the cascade.",
    )
    feature_discriminator_width: int = _setting(
        16,
        "Their width: they have 4 times as many channels first, 8 times at last.",
        low=1,
    )
    feature_discriminator_weight: float = _setting(
        1.0,
        "Weight of the generator's adversarial loss against them, a mean over the "
        "feature maps.",
        low=0,
    )
    discriminator_normalization: bool = _setting(
        True,
        "Batch norms in all discriminators (paper: yes). Without them a gradient "
        "penalty keeps the discriminators from winning: --r1_weight.",
    )
    frozen_view_shift: float = _setting(
        0.0,
        "Frozen networks see each image moved at random, mirrored at the edges, by up "
        "to this part of its side, so that textures that fit their strides do not pay "
        "(paper: 0).",
        low=0,
        high=0.5,
    )
    noise_dim: int = _setting(100, "Length of the noise z.", low=1)
    condition_dim: int = _setting(100, "D': length of the condition s_ca.", low=1)
    embedding_dim: int = _setting(300, "Length of STEM's word vectors.", low=1)
    words_dim: int = _setting(256, "D: length of word and sentence embeddings.", low=2)
    word_attention: bool = _setting(True, "Word-level attention in later stages.")
    sentence_attention: bool = _setting(
        True, "Sentence-level (global) attention in later stages."
    )
    image_encoder: str = _setting(
        "inception_v3",
        "Backbone of DAMSM's image encoder.",
        choices=_BACKBONES,
    )
    image_encoder_weights: str = _setting(
        "imagenet",
        "Its weights: imagenet, none, a weights file, or backbone: those of stage "
        "backbone, in which backbone small learns the data set's labels (birdlets); "
        "frozen, as all that were trained before.",
        path=True,
    )
    stream_encoder: str = _setting(
        "resnet152",
        "Backbone of STREAM's image encoder.",
        choices=_BACKBONES,
    )
    stream_encoder_weights: str = _setting(
        "imagenet",
        "Its weights: imagenet, none, a weights file, or stem: those that DAMSM's "
        "image encoder has learned.",
        path=True,
    )
    small_width: int = _setting(32, "First layer's channels of backbone small.", low=1)
    stream_embedding_dim: int = _setting(
        256, "Length of STREAM's word vectors and image feature.", low=1
    )
    stream_hidden_dim: int = _setting(512, "Units of STREAM's LSTM.", low=1)
    stream_long_memory: float = _setting(
        0.0,
        "Share of them whose biases begin so that the image is not forgotten over the "
        "words; learns sooner what comes late in captions (paper: 0).",
        low=0,
        high=1,
    )

    # Losses
    redescription_weight: float = _setting(
        20.0, "lambda: weight of the redescription's cross entropy.", low=0
    )
    sampled_redescription_weight: float = _setting(
        0.0,
        "Weight of the redescription's cross entropy where the decoder reads words "
        "that it has drawn itself, with straight-through gradients (paper: 0).",
        low=0,
    )
    redescribe: str = _setting(
        "last",
        "Images that are redescribed: last, or all: the mean over the scales.",
        choices=("last", "all"),
    )
    kl_weight: float = _setting(1.0, "Weight of the condition's KL term.", low=0)
    damsm_weight: float = _setting(
        0.0, "Weight of the DAMSM loss on the last image (AttnGAN; paper: 0).", low=0
    )
    adversarial_loss: str = _setting(
        "cross_entropy",
        "Adversarial loss: cross_entropy (paper), or hinge.",
        choices=("cross_entropy", "hinge"),
    )
    r1_weight: float = _setting(
        0.0, "gamma of R1, the gradient penalty at real images (paper: 0).", low=0
    )
    matching_penalty_weight: float = _setting(
        0.0,
        "k of DF-GAN's gradient penalty at real images with their own sentences "
        "(paper: 0; DF-GAN: 2).",
        low=0,
    )
    matching_penalty_power: float = _setting(6.0, "p of the same.", low=2)
    augment: str = _setting(
        "",
        "DiffAugment: what discriminators see is changed at random, real or not: any "
        f"of {','.join(_AUGMENTATIONS)} (paper: none).",
    )
    gamma1: float = _setting(
        4.0, "DAMSM: sharpness of attention to regions.", low=0, high=100
    )
    gamma2: float = _setting(5.0, "DAMSM: sharpness over words.", low=0)
    gamma3: float = _setting(10.0, "DAMSM: sharpness of matching.", low=0)

    # Training
    seed: int = _setting(1, "Seed of everything random.", low=0, high=2**31 - 1)
    backbone_steps: int = _setting(
        4500, "Steps of stage backbone (--image_encoder_weights=backbone).", low=1
    )
    backbone_batch_size: int = _setting(32, "Global batch of stage backbone.", low=2)
    backbone_learning_rate: float = _setting(
        3e-3, "Adam's rate at the start of stage backbone; falls to 0.", low=0
    )
    stem_steps: int = _setting(110_000, "Steps of stage stem.", low=1, runtime=True)
    stem_batch_size: int = _setting(48, "Global batch of stage stem.", low=2)
    stem_captions: int = _setting(
        1,
        "Captions of an image a step of stage stem: the matching of sentences takes "
        "all, that of words the first (paper: 1).",
        low=1,
        high=20,
    )
    stem_learning_rate: float = _setting(2e-3, "Adam's rate, stage stem.", low=0)
    stem_schedule: str = _setting(
        "steps",
        "How stem's rate falls: steps: by stem_decay; cosine: to 0 at stem_steps (more "
        "steps in a later session raise it again).",
        choices=("steps", "cosine"),
    )
    stem_decay: float = _setting(
        0.98, "Factor on stem's rate every stem_decay_steps.", low=0, high=1
    )
    stem_decay_steps: int = _setting(185, "Steps between decays (one epoch).", low=1)
    stem_dropout: float = _setting(0.5, "Dropout on word vectors.", low=0, high=0.99)
    stem_gradient_clip: float = _setting(0.25, "Norm bound of STEM's gradient.", low=0)
    stream_steps: int = _setting(28_000, "Steps of stage stream.", low=1, runtime=True)
    stream_batch_size: int = _setting(64, "Global batch of stage stream.", low=2)
    stream_captions: int = _setting(
        1,
        "Captions of an image a step of stage stream: more for one look at it "
        "(paper: 1).",
        low=1,
        high=20,
    )
    stream_learning_rate: float = _setting(1e-3, "Adam's rate, stage stream.", low=0)
    stream_schedule: str = _setting(
        "steps",
        "How stream's rate falls: steps: by stream_decay; cosine: 0 at stream_steps.",
        choices=("steps", "cosine"),
    )
    stream_decay: float = _setting(
        1.0,
        "Factor on stream's rate every stream_decay_steps (paper: 1, no decay).",
        low=0,
        high=1,
    )
    stream_decay_steps: int = _setting(460, "Steps between decays.", low=1)
    stream_gradient_clip: float = _setting(
        0.0, "Norm bound of stage stream's gradient; 0: none (paper).", low=0
    )
    glam_steps: int = _setting(265_650, "Steps of stage glam.", low=1, runtime=True)
    glam_batch_size: int = _setting(20, "Global batch of stage glam.", low=2)
    generator_learning_rate: float = _setting(2e-4, "Adam's rate, generator.", low=0)
    discriminator_learning_rate: float = _setting(
        2e-4, "Adam's rate, each discriminator.", low=0
    )
    glam_schedule: str = _setting(
        "constant",
        "How the rates of stage glam fall: constant (paper): not at all; cosine: to 0 "
        "at glam_steps.",
        choices=("constant", "cosine"),
    )
    adam_beta1: float = _setting(0.5, "Adam's beta 1 in stage glam.", low=0, high=0.999)
    ema_decay: float = _setting(
        0.999, "Decay of the averaged generator, the one that is used.", low=0, high=1
    )
    ema_warm_up: bool = _setting(
        False,
        "Begin with a smaller decay: the random start is soon forgotten (paper: no).",
    )
    strategy: str = _setting(
        "mirrored",
        "mirrored: all GPUs, or one replica on a CPU; one_device: the first; "
        "multi_worker: of all processes that TF_CONFIG names; tpu: all its cores.",
        choices=("mirrored", "one_device", "multi_worker", "tpu"),
        runtime=True,
    )
    accumulate_steps: int = _setting(
        1,
        "Micro-batches of a step of stages stream and glam, to save memory; batch "
        "statistics and wrong pairs are of a micro-batch, averages of batch norms move "
        "as often as without.",
        low=1,
        runtime=True,
    )
    remat: bool = _setting(
        False,
        "Stage glam: make the activations of the generator's blocks again for its "
        "gradients instead of keeping them; less memory, more time.",
        runtime=True,
    )
    mixed_precision: str = _setting(
        "none",
        "bfloat16: compute in it; weights, batch statistics and losses stay float32.",
        choices=("none", "bfloat16"),
        runtime=True,
    )
    tf32: bool = _setting(
        True,
        "Multiply float32 in TF32 where a GPU has it (A100 and later), with 10 bits of "
        "mantissa: as TensorFlow does by default; --notf32: in full precision.",
        runtime=True,
    )
    jit_compile: bool = _setting(
        False, "Compile the steps with XLA; on one device.", runtime=True
    )
    deterministic: bool = _setting(
        False,
        "Only operations that give the same bits every time; slower.",
        runtime=True,
    )
    on_nan: str = _setting(
        "stop",
        "When a loss or a weight is not finite: stop, or rollback to the last "
        "checkpoint with a new seed.",
        choices=("stop", "rollback"),
        runtime=True,
    )
    max_rollbacks: int = _setting(
        3,
        "Rollbacks of a stage, then it stops (--on_nan=rollback).",
        low=0,
        runtime=True,
    )

    # Watching
    log_format: str = _setting(
        "text",
        "Log lines for people, or json: one object a line.",
        choices=("text", "json"),
        runtime=True,
    )
    log_every: int = _setting(20, "Steps between log lines.", low=1, runtime=True)
    picture_every: int = _setting(500, "Steps between pictures.", low=1, runtime=True)
    checkpoint_every: int = _setting(
        1000, "Steps between checkpoints.", low=1, runtime=True
    )
    patience: int = _setting(
        0,
        "Pictures without a better validation figure after which stages stem and "
        "stream end early; 0: never. Their best weights are kept in any case.",
        low=0,
        runtime=True,
    )
    keep_checkpoints: int = _setting(2, "Checkpoints to keep.", low=1, runtime=True)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_field(field, getattr(self, field.name))
        if self.base_size not in (16, 32, 64, 128, 256):
            raise UserError(
                f"--base_size={self.base_size}: must be a power of 2, 16 to 256"
            )
        if self.scales > 4:
            raise UserError(f"--scales={self.scales}: must be 1 to 4 (paper: 3)")
        for name in ("coco_images", "coco_val_json"):
            if getattr(self, name) and not self.coco_train_json:
                raise UserError(
                    f"--{name}={getattr(self, name)}: needs --coco_train_json too"
                )
        if self.coco_val_images and not self.coco_val_json:
            raise UserError(
                f"--coco_val_images={self.coco_val_images}: needs --coco_val_json too"
            )
        if (
            self.stream_encoder_weights == "stem"
            and self.stream_encoder != self.image_encoder
        ):
            raise UserError(
                "--stream_encoder_weights=stem: --stream_encoder must be "
                f"--image_encoder, {self.image_encoder}, not {self.stream_encoder}"
            )
        if self.image_encoder_weights == "backbone" and self.image_encoder != "small":
            raise UserError(
                "--image_encoder_weights=backbone: --image_encoder must be small, not "
                f"{self.image_encoder}"
            )
        names = self.augmentations
        for i, name in enumerate(names):
            if name not in _AUGMENTATIONS or name in names[:i]:
                raise UserError(
                    f"--augment={self.augment}: must be some of "
                    f"{','.join(_AUGMENTATIONS)}, each at most once, not {name!r}"
                )
        for size in self.feature_discriminator_sizes.split(","):
            if size and size not in map(str, self.sizes):
                raise UserError(
                    f"--feature_discriminator_sizes={self.feature_discriminator_sizes}"
                    f": {size!r} is not the side of an image of the cascade; choose "
                    f"from {', '.join(map(str, self.sizes))}"
                )
        if self.words_dim % 2:
            raise UserError(
                f"--words_dim={self.words_dim}: must be even, half for each direction"
            )

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages of the training, in order."""
        return STAGES if self.image_encoder_weights == "backbone" else STAGES[1:]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the cascade's images in px, ascending."""
        return tuple(self.base_size * 2**scale for scale in range(self.scales))

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Sides in px of the images that feature discriminators judge, ascending."""
        if self.feature_discriminator == "none":
            return ()
        if not self.feature_discriminator_sizes:
            return self.sizes[-1:]
        chosen = self.feature_discriminator_sizes.split(",")
        return tuple(size for size in self.sizes if str(size) in chosen)

    @property
    def one_frozen_backbone(self) -> bool:
        """Whether STREAM's backbone is DAMSM's, with the same weights."""
        return (
            self.stream_encoder_weights == "stem"
            and self.image_encoder_weights == "backbone"
        )

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of what is done to images before discriminators, in order."""
        return tuple(self.augment.split(",")) if self.augment else ()

    def fixed_settings(self) -> dict[str, Any]:
        """The settings that a workdir's checkpoints depend on."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata["runtime"]
        }


def setting_help(field: dataclasses.Field) -> str:
    """Help text of one setting."""
    return field.metadata["help"]


def _check_field(field: dataclasses.Field, value: Any) -> None:
    flag = f"--{field.name}={value}"
    if isinstance(value, str) and (value != value.strip() or not value.isprintable()):
        # A flagfile, which is what `flags.cfg` is, could not hold it.
        raise UserError(
            f"--{field.name}={value!r}: must have no line breaks, control characters "
            "or spaces at its ends"
        )
    low, high = field.metadata["low"], field.metadata["high"]
    choices = field.metadata["choices"]
    if choices is not None and value not in choices:
        raise UserError(f"{flag}: must be one of {', '.join(choices)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{flag}: must be finite")
    if high is None and field.type is int:
        high = 2**31 - 1
    if low is not None and value < low:
        raise UserError(f"{flag}: must be at least {low}")
    if high is not None and value > high:
        raise UserError(f"{flag}: must be at most {high}")
