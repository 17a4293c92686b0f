"""The settings of a run in groups, each with its flag, default, bounds and help."""

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
        runtime: whether it may differ when a run is resumed.
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
    """Data set."""

    seed: int = _setting(
        "data_seed",
        1,
        "Seed of the synthetic birds, and of the split by --val_share. The seed of the "
        "training is --seed.",
        low=0,
        high=2**31 - 1,
    )
    dataset: str = _setting(
        "dataset",
        "birdlets",
        "birdlets: synthetic birds, drawn into --data_dir if they are not there yet. "
        "coco, cub: COCO and CUB-200-2011. folder: your own images with captions.",
        choices=tuple(DATASETS),
    )
    data_dir: str = _setting(
        "data_dir", "data/birdlets", "Folder of the data set.", runtime=True, path=True
    )
    coco_images: str = _setting(
        "coco_images",
        "",
        "Folder of the images of --coco_train_json: a path in --data_dir or beside the "
        "JSON file. Empty: COCO's own folders.",
        runtime=True,
        path=True,
    )
    coco_val_images: str = _setting(
        "coco_val_images",
        "",
        "Folder of the images of --coco_val_json. Empty: --coco_images.",
        runtime=True,
        path=True,
    )
    coco_train_json: str = _setting(
        "coco_train_json",
        "",
        "JSON file in COCO's format with your own training captions, in --data_dir. "
        "Empty: COCO's own captions.",
        runtime=True,
        path=True,
    )
    coco_val_json: str = _setting(
        "coco_val_json",
        "",
        "JSON file with validation captions. Empty: a part of the training images, "
        "--val_share, is used for validation.",
        runtime=True,
        path=True,
    )
    val_share: float = _setting(
        "val_share",
        0.1,
        "Fraction of the images used for validation, where a data set has no split of "
        "its own (folder, or coco with one JSON file).",
        low=0,
        high=1,
    )
    cache_images: bool = _setting(
        "cache_images",
        False,
        "Keep all decoded training images in memory (for small data sets).",
        runtime=True,
    )
    on_bad_example: str = _setting(
        "on_bad_example",
        "fail",
        "An image can't be read. fail: stop and name it. skip: log its name and use "
        "another image; more than 1 % of bad images stop the training all the same.",
        choices=("fail", "skip"),
        runtime=True,
    )
    flip: bool = _setting(
        "flip",
        True,
        "Mirror training images at random (paper: yes). Switch it off where captions "
        "say left and right.",
    )


@dataclasses.dataclass(frozen=True)
class BirdletsSettings:
    """Synthetic birds (--dataset=birdlets)."""

    train_images: int = _setting(
        "birdlets_train_images", 4000, "Number of training images to draw.", low=1
    )
    val_images: int = _setting(
        "birdlets_val_images", 500, "Number of validation images to draw.", low=1
    )


@dataclasses.dataclass(frozen=True)
class TextSettings:
    """Captions and vocabulary."""

    max_words: int = _setting(
        "max_words",
        18,
        "L, the largest number of words of a caption (CUB: 18, COCO: 12). Of longer "
        "captions a random part is used in training, the beginning elsewhere.",
        low=1,
    )
    min_word_count: int = _setting(
        "min_word_count",
        1,
        "How often a word must occur in the captions to be in the vocabulary (paper: "
        "1).",
        low=1,
    )
    captions_pickle: str = _setting(
        "captions_pickle",
        "",
        "AttnGAN's captions.pickle, whose vocabulary is used; its pretrained encoders "
        "need it. Empty: the words of the data set.",
        runtime=True,
        path=True,
    )


@dataclasses.dataclass(frozen=True)
class GeneratorSettings:
    """Generator (GLAM)."""

    base_size: int = _setting(
        "base_size",
        64,
        "Side of the smallest image in px, a power of 2 from 16 to 256 (paper: 64).",
    )
    scales: int = _setting(
        "scales",
        3,
        "Number of image sizes, 1 to 4, each twice the one before (paper: 3, up to 256 "
        "px).",
        low=1,
    )
    width: int = _setting(
        "generator_width",
        32,
        "ngf, the channels at the end of each scale (CUB: 32, COCO: 48).",
        low=1,
    )
    residual_blocks: int = _setting(
        "residual_blocks",
        2,
        "Residual blocks in every scale but the first (CUB: 2, COCO: 3).",
        low=0,
    )
    noise_dim: int = _setting(
        "noise_dim", 100, "Length of the noise vector z (paper: 100).", low=1
    )
    condition_dim: int = _setting(
        "condition_dim",
        100,
        "D', length of the condition s_ca, a function of the sentence embedding "
        "(paper: 100).",
        low=1,
    )
    word_attention: bool = _setting(
        "word_attention", True, "Attention to words in every scale but the first."
    )
    sentence_attention: bool = _setting(
        "sentence_attention",
        True,
        "Attention to the sentence (the paper's global attention) in every scale but "
        "the first.",
    )


@dataclasses.dataclass(frozen=True)
class DiscriminatorSettings:
    """Discriminators."""

    width: int = _setting(
        "discriminator_width",
        64,
        "ndf, the channels of the first layer (CUB: 64, COCO: 96).",
        low=1,
    )
    normalization: bool = _setting(
        "discriminator_normalization",
        True,
        "Batch normalisation in all discriminators (paper: yes). Without it use "
        "--r1_weight, or the discriminators become too strong.",
    )
    spectral_norm: bool = _setting(
        "spectral_norm", False, "Spectral normalisation of all kernels (paper: no)."
    )
    augment: str = _setting(
        "augment",
        "",
        "DiffAugment: random changes of real and generated images before the "
        f"discriminators, separated by commas: {', '.join(AUGMENTATIONS)}. Empty: none "
        "(paper).",
    )
    feature_discriminator: str = _setting(
        "feature_discriminator",
        "none",
        "Additional discriminators of the feature maps of a frozen network. "
        "image_encoder: DAMSM's backbone; stream_encoder: STREAM's; none: the paper.",
        choices=("none", "image_encoder", "stream_encoder"),
    )
    feature_discriminator_sizes: str = _setting(
        "feature_discriminator_sizes",
        "",
        "Image sizes in px that have feature discriminators, separated by commas. "
        "Empty: the largest.",
    )
    feature_discriminator_width: int = _setting(
        "feature_discriminator_width",
        16,
        "Width of feature discriminators: 4 times as many channels in their first "
        "layer, 8 times in their last.",
        low=1,
    )


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """Text encoder (STEM), DAMSM's image encoder, and captioner (STREAM)."""

    text_encoder: str = _setting(
        "text_encoder", "stem", "Name of the text encoder: stem (paper)."
    )
    embedding_dim: int = _setting(
        "embedding_dim", 300, "Length of STEM's input word vectors (paper: 300).", low=1
    )
    words_dim: int = _setting(
        "words_dim",
        256,
        "D, length of the word and sentence embeddings, an even number (paper: 256).",
        low=2,
    )
    image_encoder: str = _setting(
        "image_encoder",
        "inception_v3",
        "Backbone of DAMSM's image encoder: inception_v3 (paper), resnet152, small, or "
        "inception_v3_torchvision or resnet152_torchvision for converted weights.",
    )
    image_encoder_weights: str = _setting(
        "image_encoder_weights",
        "imagenet",
        "Weights of that backbone. imagenet: downloaded (paper); a Keras weights file; "
        "none: random weights; backbone: backbone small is first trained on the labels "
        "of the data set, in stage backbone.",
        path=True,
    )
    stream_encoder: str = _setting(
        "stream_encoder",
        "resnet152",
        "Backbone of STREAM's image encoder (as --image_encoder; paper: resnet152).",
    )
    stream_encoder_weights: str = _setting(
        "stream_encoder_weights",
        "imagenet",
        "Weights of that backbone. imagenet: downloaded (paper); a Keras weights file; "
        "none: random weights; stem: those of DAMSM's image encoder.",
        path=True,
    )
    small_width: int = _setting(
        "small_width", 32, "Channels of the first layer of backbone small.", low=1
    )
    stream_embedding_dim: int = _setting(
        "stream_embedding_dim",
        256,
        "Length of STREAM's word vectors and of its image feature (paper: 256).",
        low=1,
    )
    stream_hidden_dim: int = _setting(
        "stream_hidden_dim", 512, "Units of STREAM's LSTM (paper: 512).", low=1
    )
    stream_long_memory: float = _setting(
        "stream_long_memory",
        0.0,
        "Fraction of these units whose gate biases are initialised to remember the "
        "image for the whole caption; the ends of captions are learned sooner (paper: "
        "0).",
        low=0,
        high=1,
    )
    frozen_view_shift: float = _setting(
        "frozen_view_shift",
        0.0,
        "Shift images at random by up to this fraction of their side before frozen "
        "networks see them, with mirrored edges. It prevents textures that exploit the "
        "networks' strides (paper: 0).",
        low=0,
        high=0.5,
    )


@dataclasses.dataclass(frozen=True)
class LossSettings:
    """Losses."""

    adversarial_loss: str = _setting(
        "adversarial_loss",
        "cross_entropy",
        "Adversarial loss: cross_entropy (paper) or hinge.",
        choices=("cross_entropy", "hinge"),
    )
    feature_discriminator_weight: float = _setting(
        "feature_discriminator_weight",
        1.0,
        "Weight of the generator's adversarial loss against feature discriminators, "
        "their mean over the feature maps.",
        low=0,
    )
    r1_weight: float = _setting(
        "r1_weight",
        0.0,
        "gamma of R1, the penalty of the discriminators' gradient at real images. 0: "
        "none (paper).",
        low=0,
    )
    redescription_weight: float = _setting(
        "redescription_weight",
        20.0,
        "lambda, weight of STREAM's cross entropy of the caption given the generated "
        "image (paper: 20).",
        low=0,
    )
    redescribe: str = _setting(
        "redescribe",
        "last",
        "Images in that loss. last: the largest (paper); all: the mean over all sizes.",
        choices=("last", "all"),
    )
    kl_weight: float = _setting(
        "kl_weight",
        1.0,
        "Weight of the KL divergence of the condition from N(0, I) (paper: 1).",
        low=0,
    )
    damsm_weight: float = _setting(
        "damsm_weight",
        0.0,
        "Weight of the DAMSM loss of the largest image. 0: none (paper; AttnGAN: 5 on "
        "CUB, 50 on COCO).",
        low=0,
    )
    gamma1: float = _setting(
        "gamma1",
        4.0,
        "DAMSM's gamma 1: sharpness of a word's attention to image regions (authors' "
        "code: 4).",
        low=0,
        high=100,
    )
    gamma2: float = _setting(
        "gamma2",
        5.0,
        "DAMSM's gamma 2: how much the best matching words of a caption dominate "
        "(authors' code: 5).",
        low=0,
    )
    gamma3: float = _setting(
        "gamma3",
        10.0,
        "DAMSM's gamma 3: sharpness of the softmax over captions and over images "
        "(authors' code: 10).",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class BackboneStageSettings:
    """Stage backbone (--image_encoder_weights=backbone): labels of the data set."""

    steps: int = _setting("backbone_steps", 4500, "Training steps.", low=1)
    batch_size: int = _setting(
        "backbone_batch_size", 32, "Images of a step on all devices together.", low=2
    )
    learning_rate: float = _setting(
        "backbone_learning_rate",
        3e-3,
        "Adam's learning rate at the first step; it falls to 0 along a cosine.",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class StemStageSettings:
    """Stage stem: the text encoder and DAMSM's image encoder."""

    steps: int = _setting("stem_steps", 110_000, "Training steps.", low=1, runtime=True)
    batch_size: int = _setting(
        "stem_batch_size",
        48,
        "Images of a step on all devices together (authors' code: 48).",
        low=2,
    )
    captions: int = _setting(
        "stem_captions",
        1,
        "Captions of each image in a step: the sentence loss uses all, the word loss "
        "the first (paper: 1).",
        low=1,
        high=20,
    )
    learning_rate: float = _setting(
        "stem_learning_rate",
        2e-3,
        "Adam's learning rate at the first step (authors' code: 2e-3).",
        low=0,
    )
    schedule: str = _setting(
        "stem_schedule",
        "steps",
        "How the learning rate falls. steps: by --stem_decay; cosine: to 0 at "
        "--stem_steps (a larger --stem_steps raises it again).",
        choices=("steps", "cosine"),
    )
    decay: float = _setting(
        "stem_decay",
        0.98,
        "Factor on the learning rate every --stem_decay_steps (authors' code: 0.98).",
        low=0,
        high=1,
    )
    decay_steps: int = _setting(
        "stem_decay_steps",
        185,
        "Steps between two decays (authors' code: an epoch).",
        low=1,
    )
    dropout: float = _setting(
        "stem_dropout",
        0.5,
        "Dropout rate of STEM's input word vectors (authors' code: 0.5).",
        low=0,
        high=0.99,
    )
    gradient_clip: float = _setting(
        "stem_gradient_clip",
        0.25,
        "Largest norm of STEM's gradient; larger ones are scaled down. 0: no limit "
        "(authors' code: 0.25).",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class StreamStageSettings:
    """Stage stream: the captioner STREAM."""

    steps: int = _setting(
        "stream_steps", 28_000, "Training steps.", low=1, runtime=True
    )
    batch_size: int = _setting(
        "stream_batch_size", 64, "Images of a step on all devices together.", low=2
    )
    captions: int = _setting(
        "stream_captions",
        1,
        "Captions of each image in a step; the image is encoded once for all (paper: "
        "1).",
        low=1,
        high=20,
    )
    learning_rate: float = _setting(
        "stream_learning_rate",
        1e-3,
        "Adam's learning rate at the first step (paper: 1e-3).",
        low=0,
    )
    schedule: str = _setting(
        "stream_schedule",
        "steps",
        "How the learning rate falls. steps: by --stream_decay; cosine: to 0 at "
        "--stream_steps.",
        choices=("steps", "cosine"),
    )
    decay: float = _setting(
        "stream_decay",
        1.0,
        "Factor on the learning rate every --stream_decay_steps. 1: no decay (paper).",
        low=0,
        high=1,
    )
    decay_steps: int = _setting(
        "stream_decay_steps", 460, "Steps between two decays.", low=1
    )
    gradient_clip: float = _setting(
        "stream_gradient_clip",
        0.0,
        "Largest norm of the gradient; larger ones are scaled down. 0: no limit "
        "(paper).",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class GlamStageSettings:
    """Stage glam: the generator and its discriminators."""

    steps: int = _setting(
        "glam_steps",
        265_650,
        "Training steps (paper: 600 epochs on CUB, 120 on COCO).",
        low=1,
        runtime=True,
    )
    batch_size: int = _setting(
        "glam_batch_size",
        20,
        "Images of a step on all devices together (authors' code: 12 to 20 on CUB, 14 "
        "on COCO).",
        low=2,
    )
    generator_learning_rate: float = _setting(
        "generator_learning_rate",
        2e-4,
        "Adam's learning rate for the generator (paper: 2e-4).",
        low=0,
    )
    discriminator_learning_rate: float = _setting(
        "discriminator_learning_rate",
        2e-4,
        "Adam's learning rate for each discriminator (paper: 2e-4).",
        low=0,
    )
    schedule: str = _setting(
        "glam_schedule",
        "constant",
        "How the learning rates change. constant: not at all (paper); cosine: they "
        "fall to 0 at --glam_steps.",
        choices=("constant", "cosine"),
    )
    adam_beta1: float = _setting(
        "adam_beta1",
        0.5,
        "Adam's beta 1 for generator and discriminators (paper: 0.5).",
        low=0,
        high=0.999,
    )
    ema_decay: float = _setting(
        "ema_decay",
        0.999,
        "Decay per step of the moving average of the generator's weights, which is the "
        "generator that is used (authors' code: 0.999).",
        low=0,
        high=1,
    )
    ema_warm_up: bool = _setting(
        "ema_warm_up",
        False,
        "Use a smaller decay in the first steps, to forget the random initialisation "
        "sooner (paper: no).",
    )


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Execution, logging and checkpoints."""

    seed: int = _setting(
        "seed",
        1,
        "Seed of initial weights, noise, order of the data and augmentation.",
        low=0,
        high=2**31 - 1,
    )
    strategy: str = _setting(
        "strategy",
        "mirrored",
        "Devices. mirrored: all GPUs of this machine, or its CPU; one_device: the "
        "first GPU or the CPU; multi_worker: all machines in TF_CONFIG.",
        choices=("mirrored", "one_device", "multi_worker"),
        runtime=True,
    )
    accumulate_steps: int = _setting(
        "accumulate_steps",
        1,
        "Micro-batches of a step in stages stream and glam, to save memory. Batch "
        "statistics and mismatched captions are then those of a micro-batch.",
        low=1,
        runtime=True,
    )
    remat: bool = _setting(
        "remat",
        False,
        "Stage glam: recompute the activations of the generator's blocks for the "
        "gradients instead of keeping them: less memory, more time.",
        runtime=True,
    )
    mixed_precision: str = _setting(
        "mixed_precision",
        "none",
        "bfloat16: compute in bfloat16; weights, batch statistics and losses stay "
        "float32. none: all in float32. auto: bfloat16 where the device is fast at it: "
        "GPUs of compute capability 8.0 and above, CPUs with avx512_bf16 or amx_bf16.",
        choices=("none", "bfloat16", "auto"),
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
        "Multiply float32 numbers in TF32 on GPUs that have it (A100 and later): "
        "faster, with 10 bits of mantissa. --notf32: in full precision.",
        runtime=True,
    )
    jit_compile: bool = _setting(
        "jit_compile",
        False,
        "Compile the training steps with XLA; on one device only.",
        runtime=True,
    )
    deterministic: bool = _setting(
        "deterministic",
        False,
        "Use only operations that give the same bits in every run; slower.",
        runtime=True,
    )
    on_nan: str = _setting(
        "on_nan",
        "stop",
        "A loss or weight is NaN or infinite. stop: end the training; rollback: "
        "continue from the last checkpoint with another seed.",
        choices=("stop", "rollback"),
        runtime=True,
    )
    max_rollbacks: int = _setting(
        "max_rollbacks",
        3,
        "Rollbacks of a stage after which it stops (--on_nan=rollback).",
        low=0,
        runtime=True,
    )
    init_from: str = _setting(
        "init_from",
        "",
        "Start a new training from the weights of another, as far as they fit, for "
        "example to fine-tune on your own images: a workdir, or the name or folder of "
        "a preset. Empty: random weights.",
        runtime=True,
        path=True,
    )
    log_format: str = _setting(
        "log_format",
        "text",
        "Log lines as text, or as json with one object a line.",
        choices=("text", "json"),
        runtime=True,
    )
    log_every: int = _setting(
        "log_every", 20, "Steps between two log lines.", low=1, runtime=True
    )
    picture_every: int = _setting(
        "picture_every",
        500,
        "Steps between two pictures of samples, and between two validations.",
        low=1,
        runtime=True,
    )
    evaluate_every: int = _setting(
        "evaluate_every",
        0,
        "Stage glam: steps between two computations of the FID of generated validation "
        "images, a curve in TensorBoard; the weights with the lowest FID are kept. 0: "
        "never.",
        low=0,
        runtime=True,
    )
    checkpoint_every: int = _setting(
        "checkpoint_every", 1000, "Steps between two checkpoints.", low=1, runtime=True
    )
    patience: int = _setting(
        "patience",
        0,
        "End stages stem and stream after this many validations without a better "
        "figure. 0: never; the best weights are used in any case.",
        low=0,
        runtime=True,
    )
    keep_checkpoints: int = _setting(
        "keep_checkpoints",
        2,
        "Number of the newest checkpoints of a stage to keep.",
        low=1,
        runtime=True,
    )
