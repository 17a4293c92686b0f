"""The settings of a run in groups: each names its flag, explains and bounds it."""

import dataclasses

from mirrorgan_tf.config.registry import DATASETS

__all__ = [
    "AUGMENTATIONS",
    "BackboneStageSettings",
    "BirdletsSettings",
    "DataSettings",
    "DiscriminatorSettings",
    "EncoderSettings",
    "GeneratorSettings",
    "GlamStageSettings",
    "KERNELS",
    "LossSettings",
    "RunSettings",
    "StemStageSettings",
    "StreamStageSettings",
    "TextSettings",
]

AUGMENTATIONS = ("color", "translation", "cutout")
KERNELS = ("auto", "reference")


def _setting(
    flag,
    default,
    help_text,
    *,
    low=None,
    high=None,
    choices=None,
    runtime=False,
    path=False,
):
    """One field of a group.

    Args:
        flag: the name of its flag on the command line.
        default: the value without the flag.
        help_text: what `--help` and docs/settings.md say about it.
        low: the smallest value that is allowed.
        high: the largest value that is allowed.
        choices: the only values that are allowed.
        runtime: whether it may change when a run is resumed.
        path: whether it names a file or a folder.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "flag": flag,
            "help": help_text,
            "low": low,
            "high": high,
            "choices": choices,
            "runtime": runtime,
            "path": path,
        },
    )


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """What is trained on."""

    seed: int = _setting(
        "data_seed",
        1,
        "Seed of the drawn data set (birdlets) and of a split by val_share (folder, "
        "coco); --seed is that of the training.",
        low=0,
        high=2**31 - 1,
    )
    dataset: str = _setting(
        "dataset",
        "birdlets",
        "Data set: birdlets is drawn on demand, the others are read.",
        choices=tuple(DATASETS),
    )
    data_dir: str = _setting(
        "data_dir", "data/birdlets", "Folder of the data set.", runtime=True, path=True
    )
    coco_images: str = _setting(
        "coco_images",
        "",
        "Your own images in COCO's format: their folder, beside their JSON or else in "
        "data_dir (coco).",
        runtime=True,
        path=True,
    )
    coco_val_images: str = _setting(
        "coco_val_images",
        "",
        "Those of --coco_val_json, if they lie in another folder than coco_images.",
        runtime=True,
        path=True,
    )
    coco_train_json: str = _setting(
        "coco_train_json",
        "",
        "Your own captions in COCO's format, in data_dir (coco).",
        runtime=True,
        path=True,
    )
    coco_val_json: str = _setting(
        "coco_val_json",
        "",
        "Those for validation; without, a val_share of the others is taken.",
        runtime=True,
        path=True,
    )
    val_share: float = _setting(
        "val_share",
        0.1,
        "Part of the images for validation, where a set has no split of its own: "
        "folder, or coco with one JSON.",
        low=0,
        high=1,
    )
    cache_images: bool = _setting(
        "cache_images",
        False,
        "Keep decoded images in memory (small sets).",
        runtime=True,
    )
    on_bad_example: str = _setting(
        "on_bad_example",
        "fail",
        "What to do about an image that can't be read: fail, or skip it and log its "
        "name; above 1 % bad ones skip fails too.",
        choices=("fail", "skip"),
        runtime=True,
    )
    flip: bool = _setting(
        "flip", True, "Mirror training images at random; not where captions say left."
    )


@dataclasses.dataclass(frozen=True)
class BirdletsSettings:
    """How many birdlets are drawn."""

    train_images: int = _setting(
        "birdlets_train_images", 4000, "Training images to draw (birdlets).", low=1
    )
    val_images: int = _setting(
        "birdlets_val_images", 500, "Validation images to draw (birdlets).", low=1
    )


@dataclasses.dataclass(frozen=True)
class TextSettings:
    """How captions become words."""

    max_words: int = _setting(
        "max_words", 18, "L: words of a caption that are used.", low=1
    )
    min_word_count: int = _setting(
        "min_word_count", 1, "A word enters the vocabulary from this many uses.", low=1
    )
    captions_pickle: str = _setting(
        "captions_pickle",
        "",
        "AttnGAN's captions.pickle: take its words and their ids, as its encoders "
        "need; else the data set's own words.",
        runtime=True,
        path=True,
    )


@dataclasses.dataclass(frozen=True)
class GeneratorSettings:
    """Sizes of the generator."""

    base_size: int = _setting(
        "base_size", 64, "Side of the first image in px, a power of 2."
    )
    scales: int = _setting(
        "scales", 3, "Images in the cascade, each twice as big.", low=1
    )
    width: int = _setting(
        "generator_width", 32, "ngf: channels of a generator stage.", low=1
    )
    residual_blocks: int = _setting(
        "residual_blocks", 2, "Residual blocks of a later stage.", low=0
    )
    noise_dim: int = _setting("noise_dim", 100, "Length of the noise z.", low=1)
    condition_dim: int = _setting(
        "condition_dim", 100, "D': length of the condition s_ca.", low=1
    )
    word_attention: bool = _setting(
        "word_attention", True, "Word-level attention in later stages."
    )
    sentence_attention: bool = _setting(
        "sentence_attention", True, "Sentence-level (global) attention in later stages."
    )


@dataclasses.dataclass(frozen=True)
class DiscriminatorSettings:
    """Sizes of the discriminators and what they see."""

    width: int = _setting(
        "discriminator_width",
        64,
        "ndf: channels of the discriminators' first layer.",
        low=1,
    )
    normalization: bool = _setting(
        "discriminator_normalization",
        True,
        "Batch norms in all discriminators (paper: yes). Without them a gradient "
        "penalty keeps the discriminators from winning: --r1_weight.",
    )
    spectral_norm: bool = _setting(
        "spectral_norm",
        False,
        "Spectral normalisation of the discriminators' kernels (paper: none).",
    )
    augment: str = _setting(
        "augment",
        "",
        "DiffAugment: what discriminators see is changed at random, real or not: any "
        f"of {','.join(AUGMENTATIONS)} (paper: none).",
    )
    feature_discriminator: str = _setting(
        "feature_discriminator",
        "none",
        "Adds discriminators of the feature maps of a frozen network: image_encoder "
        "(DAMSM's backbone) or stream_encoder (STREAM's); none is the paper's.",
        choices=("none", "image_encoder", "stream_encoder"),
    )
    feature_discriminator_sizes: str = _setting(
        "feature_discriminator_sizes",
        "",
        "Sides in px of the images that they judge, comma-separated; empty: the last "
        "image of the cascade.",
    )
    feature_discriminator_width: int = _setting(
        "feature_discriminator_width",
        16,
        "Their width: they have 4 times as many channels first, 8 times at last.",
        low=1,
    )


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """The text encoder, the image encoder of DAMSM, and STREAM."""

    embedding_dim: int = _setting(
        "embedding_dim", 300, "Length of STEM's word vectors.", low=1
    )
    words_dim: int = _setting(
        "words_dim", 256, "D: length of word and sentence embeddings.", low=2
    )
    image_encoder: str = _setting(
        "image_encoder",
        "inception_v3",
        "Backbone of DAMSM's image encoder.",
    )
    image_encoder_weights: str = _setting(
        "image_encoder_weights",
        "imagenet",
        "Its weights: imagenet, none, a weights file, or backbone: those of stage "
        "backbone, in which backbone small learns the data set's labels (birdlets); "
        "frozen, as all that were trained before.",
        path=True,
    )
    stream_encoder: str = _setting(
        "stream_encoder",
        "resnet152",
        "Backbone of STREAM's image encoder.",
    )
    stream_encoder_weights: str = _setting(
        "stream_encoder_weights",
        "imagenet",
        "Its weights: imagenet, none, a weights file, or stem: those that DAMSM's "
        "image encoder has learned.",
        path=True,
    )
    small_width: int = _setting(
        "small_width", 32, "First layer's channels of backbone small.", low=1
    )
    stream_embedding_dim: int = _setting(
        "stream_embedding_dim",
        256,
        "Length of STREAM's word vectors and image feature.",
        low=1,
    )
    stream_hidden_dim: int = _setting(
        "stream_hidden_dim", 512, "Units of STREAM's LSTM.", low=1
    )
    stream_long_memory: float = _setting(
        "stream_long_memory",
        0.0,
        "Share of them whose biases begin so that the image is not forgotten over the "
        "words; learns sooner what comes late in captions (paper: 0).",
        low=0,
        high=1,
    )
    frozen_view_shift: float = _setting(
        "frozen_view_shift",
        0.0,
        "Frozen networks see each image moved at random, mirrored at the edges, by up "
        "to this part of its side, so that textures that fit their strides do not pay "
        "(paper: 0).",
        low=0,
        high=0.5,
    )


@dataclasses.dataclass(frozen=True)
class LossSettings:
    """Weights and forms of the losses."""

    adversarial_loss: str = _setting(
        "adversarial_loss",
        "cross_entropy",
        "Adversarial loss: cross_entropy (paper), or hinge.",
        choices=("cross_entropy", "hinge"),
    )
    feature_discriminator_weight: float = _setting(
        "feature_discriminator_weight",
        1.0,
        "Weight of the generator's adversarial loss against them, a mean over the "
        "feature maps.",
        low=0,
    )
    r1_weight: float = _setting(
        "r1_weight",
        0.0,
        "gamma of R1, the gradient penalty at real images (paper: 0).",
        low=0,
    )
    redescription_weight: float = _setting(
        "redescription_weight",
        20.0,
        "lambda: weight of the redescription's cross entropy.",
        low=0,
    )
    redescribe: str = _setting(
        "redescribe",
        "last",
        "Images that are redescribed: last, or all: the mean over the scales.",
        choices=("last", "all"),
    )
    kl_weight: float = _setting(
        "kl_weight", 1.0, "Weight of the condition's KL term.", low=0
    )
    damsm_weight: float = _setting(
        "damsm_weight",
        0.0,
        "Weight of the DAMSM loss on the last image (AttnGAN; paper: 0).",
        low=0,
    )
    gamma1: float = _setting(
        "gamma1", 4.0, "DAMSM: sharpness of attention to regions.", low=0, high=100
    )
    gamma2: float = _setting("gamma2", 5.0, "DAMSM: sharpness over words.", low=0)
    gamma3: float = _setting("gamma3", 10.0, "DAMSM: sharpness of matching.", low=0)


@dataclasses.dataclass(frozen=True)
class BackboneStageSettings:
    """Stage backbone."""

    steps: int = _setting(
        "backbone_steps",
        4500,
        "Steps of stage backbone (--image_encoder_weights=backbone).",
        low=1,
    )
    batch_size: int = _setting(
        "backbone_batch_size", 32, "Global batch of stage backbone.", low=2
    )
    learning_rate: float = _setting(
        "backbone_learning_rate",
        3e-3,
        "Adam's rate at the start of stage backbone; falls to 0.",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class StemStageSettings:
    """Stage stem."""

    steps: int = _setting(
        "stem_steps", 110_000, "Steps of stage stem.", low=1, runtime=True
    )
    batch_size: int = _setting(
        "stem_batch_size", 48, "Global batch of stage stem.", low=2
    )
    captions: int = _setting(
        "stem_captions",
        1,
        "Captions of an image a step of stage stem: the matching of sentences takes "
        "all, that of words the first (paper: 1).",
        low=1,
        high=20,
    )
    learning_rate: float = _setting(
        "stem_learning_rate", 2e-3, "Adam's rate, stage stem.", low=0
    )
    schedule: str = _setting(
        "stem_schedule",
        "steps",
        "How stem's rate falls: steps: by stem_decay; cosine: to 0 at stem_steps (more "
        "steps in a later session raise it again).",
        choices=("steps", "cosine"),
    )
    decay: float = _setting(
        "stem_decay",
        0.98,
        "Factor on stem's rate every stem_decay_steps.",
        low=0,
        high=1,
    )
    decay_steps: int = _setting(
        "stem_decay_steps", 185, "Steps between decays (one epoch).", low=1
    )
    dropout: float = _setting(
        "stem_dropout", 0.5, "Dropout on word vectors.", low=0, high=0.99
    )
    gradient_clip: float = _setting(
        "stem_gradient_clip", 0.25, "Norm bound of STEM's gradient.", low=0
    )


@dataclasses.dataclass(frozen=True)
class StreamStageSettings:
    """Stage stream."""

    steps: int = _setting(
        "stream_steps", 28_000, "Steps of stage stream.", low=1, runtime=True
    )
    batch_size: int = _setting(
        "stream_batch_size", 64, "Global batch of stage stream.", low=2
    )
    captions: int = _setting(
        "stream_captions",
        1,
        "Captions of an image a step of stage stream: more for one look at it "
        "(paper: 1).",
        low=1,
        high=20,
    )
    learning_rate: float = _setting(
        "stream_learning_rate", 1e-3, "Adam's rate, stage stream.", low=0
    )
    schedule: str = _setting(
        "stream_schedule",
        "steps",
        "How stream's rate falls: steps: by stream_decay; cosine: 0 at stream_steps.",
        choices=("steps", "cosine"),
    )
    decay: float = _setting(
        "stream_decay",
        1.0,
        "Factor on stream's rate every stream_decay_steps (paper: 1, no decay).",
        low=0,
        high=1,
    )
    decay_steps: int = _setting(
        "stream_decay_steps", 460, "Steps between decays.", low=1
    )
    gradient_clip: float = _setting(
        "stream_gradient_clip",
        0.0,
        "Norm bound of stage stream's gradient; 0: none (paper).",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class GlamStageSettings:
    """Stage glam."""

    steps: int = _setting(
        "glam_steps", 265_650, "Steps of stage glam.", low=1, runtime=True
    )
    batch_size: int = _setting(
        "glam_batch_size", 20, "Global batch of stage glam.", low=2
    )
    generator_learning_rate: float = _setting(
        "generator_learning_rate", 2e-4, "Adam's rate, generator.", low=0
    )
    discriminator_learning_rate: float = _setting(
        "discriminator_learning_rate", 2e-4, "Adam's rate, each discriminator.", low=0
    )
    schedule: str = _setting(
        "glam_schedule",
        "constant",
        "How the rates of stage glam fall: constant (paper): not at all; cosine: to 0 "
        "at glam_steps.",
        choices=("constant", "cosine"),
    )
    adam_beta1: float = _setting(
        "adam_beta1", 0.5, "Adam's beta 1 in stage glam.", low=0, high=0.999
    )
    ema_decay: float = _setting(
        "ema_decay",
        0.999,
        "Decay of the averaged generator, the one that is used.",
        low=0,
        high=1,
    )
    ema_warm_up: bool = _setting(
        "ema_warm_up",
        False,
        "Begin with a smaller decay: the random start is soon forgotten (paper: no).",
    )


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """How a training runs, and what it reports."""

    seed: int = _setting("seed", 1, "Seed of everything random.", low=0, high=2**31 - 1)
    strategy: str = _setting(
        "strategy",
        "mirrored",
        "mirrored: all GPUs, or one replica on a CPU; one_device: the first; "
        "multi_worker: those of all processes that TF_CONFIG names.",
        choices=("mirrored", "one_device", "multi_worker"),
        runtime=True,
    )
    accumulate_steps: int = _setting(
        "accumulate_steps",
        1,
        "Micro-batches of a step of stages stream and glam, to save memory; batch "
        "statistics and wrong pairs are of a micro-batch, averages of batch norms move "
        "as often as without.",
        low=1,
        runtime=True,
    )
    remat: bool = _setting(
        "remat",
        False,
        "Stage glam: make the activations of the generator's blocks again for its "
        "gradients instead of keeping them; less memory, more time.",
        runtime=True,
    )
    mixed_precision: str = _setting(
        "mixed_precision",
        "none",
        "bfloat16: compute in it; weights, batch statistics and losses stay float32.",
        choices=("none", "bfloat16"),
        runtime=True,
    )
    kernels: str = _setting(
        "kernels",
        "auto",
        "auto: fast versions of operations where they were measured to be faster; "
        "reference: the plain versions everywhere, to find out whether a fast one "
        "causes a problem.",
        choices=KERNELS,
        runtime=True,
    )
    tf32: bool = _setting(
        "tf32",
        True,
        "Multiply float32 in TF32 where a GPU has it (A100 and later), with 10 bits of "
        "mantissa: as TensorFlow does by default; --notf32: in full precision.",
        runtime=True,
    )
    jit_compile: bool = _setting(
        "jit_compile", False, "Compile the steps with XLA; on one device.", runtime=True
    )
    deterministic: bool = _setting(
        "deterministic",
        False,
        "Only operations that give the same bits every time; slower.",
        runtime=True,
    )
    on_nan: str = _setting(
        "on_nan",
        "stop",
        "When a loss or a weight is not finite: stop, or rollback to the last "
        "checkpoint with a new seed.",
        choices=("stop", "rollback"),
        runtime=True,
    )
    max_rollbacks: int = _setting(
        "max_rollbacks",
        3,
        "Rollbacks of a stage, then it stops (--on_nan=rollback).",
        low=0,
        runtime=True,
    )
    log_format: str = _setting(
        "log_format",
        "text",
        "Log lines for people, or json: one object a line.",
        choices=("text", "json"),
        runtime=True,
    )
    log_every: int = _setting(
        "log_every", 20, "Steps between log lines.", low=1, runtime=True
    )
    picture_every: int = _setting(
        "picture_every", 500, "Steps between pictures.", low=1, runtime=True
    )
    checkpoint_every: int = _setting(
        "checkpoint_every", 1000, "Steps between checkpoints.", low=1, runtime=True
    )
    patience: int = _setting(
        "patience",
        0,
        "Pictures without a better validation figure after which stages stem and "
        "stream end early; 0: never. Their best weights are kept in any case.",
        low=0,
        runtime=True,
    )
    keep_checkpoints: int = _setting(
        "keep_checkpoints", 2, "Checkpoints to keep.", low=1, runtime=True
    )
