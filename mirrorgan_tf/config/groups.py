"""Settings of data, networks and losses in groups; `stage_groups` has the others."""

import dataclasses

from mirrorgan_tf.config.field import setting
from mirrorgan_tf.config.registry import DATASETS

__all__ = [
    "AUGMENTATIONS",
    "BirdletsSettings",
    "DataSettings",
    "DiscriminatorSettings",
    "EncoderSettings",
    "GeneratorSettings",
    "KERNELS",
    "LossSettings",
    "NAMED_WEIGHTS",
    "TextSettings",
]

AUGMENTATIONS = ("color", "translation", "cutout")
KERNELS = ("auto", "reference")
# Values of --image_encoder_weights and --stream_encoder_weights that name no file.
NAMED_WEIGHTS = ("imagenet", "none", "backbone", "stem")


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Data set."""

    seed: int = setting(
        1,
        "Seed of the synthetic birds, and of the split by --val_share. The seed of the "
        "training is --seed.",
        flag="data_seed",
        low=0,
        high=2**31 - 1,
    )
    dataset: str = setting(
        "birdlets",
        "birdlets: synthetic birds, drawn into --data_dir if they are not there yet. "
        "coco, cub: COCO and CUB-200-2011. folder: your own images with captions.",
        choices=tuple(DATASETS),
    )
    data_dir: str = setting(
        "data/birdlets", "Folder of the data set.", runtime=True, path=True
    )
    coco_images: str = setting(
        "",
        "Folder of the images of --coco_train_json: a path in --data_dir or beside the "
        "JSON file. Empty: COCO's own folders.",
        runtime=True,
        path=True,
    )
    coco_val_images: str = setting(
        "",
        "Folder of the images of --coco_val_json. Empty: --coco_images.",
        runtime=True,
        path=True,
    )
    coco_train_json: str = setting(
        "",
        "JSON file in COCO's format with your own training captions, in --data_dir. "
        "Empty: COCO's own captions.",
        runtime=True,
        path=True,
    )
    coco_val_json: str = setting(
        "",
        "JSON file with validation captions. Empty: a part of the training images, "
        "--val_share, is used for validation.",
        runtime=True,
        path=True,
    )
    val_share: float = setting(
        0.1,
        "Fraction of the images used for validation, where a data set has no split of "
        "its own (folder, or coco with one JSON file).",
        low=0,
        high=1,
    )
    cache_images: bool = setting(
        False,
        "Keep all decoded training images in memory (for small data sets).",
        runtime=True,
    )
    on_bad_example: str = setting(
        "fail",
        "An image can't be read. fail: stop and name it. skip: log its name and use "
        "another image; more than 1 % of bad images stop the training all the same.",
        choices=("fail", "skip"),
        runtime=True,
    )
    flip: bool = setting(
        True,
        "Mirror training images at random (paper: yes). Switch it off where captions "
        "say left and right.",
    )


@dataclasses.dataclass(frozen=True)
class BirdletsSettings:
    """Synthetic birds (--dataset=birdlets)."""

    train_images: int = setting(
        4000, "Number of training images to draw.", flag="birdlets_train_images", low=1
    )
    val_images: int = setting(
        500, "Number of validation images to draw.", flag="birdlets_val_images", low=1
    )


@dataclasses.dataclass(frozen=True)
class TextSettings:
    """Captions and vocabulary."""

    max_words: int = setting(
        18,
        "L, the largest number of words of a caption (CUB: 18, COCO: 12). Of longer "
        "captions a random part is used in training, the beginning elsewhere.",
        low=1,
    )
    min_word_count: int = setting(
        1,
        "How often a word must occur in the captions to be in the vocabulary (paper: "
        "1).",
        low=1,
    )
    captions_pickle: str = setting(
        "",
        "AttnGAN's captions.pickle, whose vocabulary is used; its pretrained encoders "
        "need it. Empty: the words of the data set.",
        runtime=True,
        path=True,
    )


@dataclasses.dataclass(frozen=True)
class GeneratorSettings:
    """Generator (GLAM)."""

    base_size: int = setting(
        64,
        "Side of the smallest image in px, a power of 2 from 16 to 256 (paper: 64).",
    )
    scales: int = setting(
        3,
        "Number of image sizes, 1 to 4, each twice the one before (paper: 3, up to 256 "
        "px).",
        low=1,
    )
    width: int = setting(
        32,
        "ngf, the channels at the end of each scale (CUB: 32, COCO: 48).",
        flag="generator_width",
        low=1,
    )
    inner_width: int = setting(
        0,
        "ngf for the first scale's layers before its last one. More channels at 4×4 "
        "and 8×8 px cost little time. 0: --generator_width (paper).",
        flag="generator_inner_width",
        low=0,
    )
    residual_blocks: int = setting(
        2,
        "Residual blocks in every scale but the first (CUB: 2, COCO: 3).",
        low=0,
    )
    noise_dim: int = setting(100, "Length of the noise vector z (paper: 100).", low=1)
    condition_dim: int = setting(
        100,
        "D', length of the condition s_ca, a function of the sentence embedding "
        "(paper: 100).",
        low=1,
    )
    word_attention: bool = setting(
        True, "Attention to words in every scale but the first."
    )
    sentence_attention: bool = setting(
        True,
        "Attention to the sentence (the paper's global attention) in every scale but "
        "the first.",
    )


@dataclasses.dataclass(frozen=True)
class DiscriminatorSettings:
    """Discriminators."""

    width: int = setting(
        64,
        "ndf, the channels of the first layer (CUB: 64, COCO: 96).",
        flag="discriminator_width",
        low=1,
    )
    normalization: bool = setting(
        True,
        "Batch normalisation in all discriminators (paper: yes). Without it use "
        "--r1_weight, or the discriminators become too strong.",
        flag="discriminator_normalization",
    )
    spectral_norm: bool = setting(
        False, "Spectral normalisation of all kernels (paper: no)."
    )
    augment: str = setting(
        "",
        "DiffAugment: random changes of real and generated images before the "
        f"discriminators, separated by commas: {', '.join(AUGMENTATIONS)}. Empty: none "
        "(paper).",
    )
    feature_discriminator: str = setting(
        "none",
        "Additional discriminators of the feature maps of a frozen network. "
        "image_encoder: DAMSM's backbone; stream_encoder: STREAM's; none: the paper.",
        choices=("none", "image_encoder", "stream_encoder"),
    )
    feature_discriminator_sizes: str = setting(
        "",
        "Image sizes in px that have feature discriminators, separated by commas. "
        "Empty: the largest.",
    )
    feature_discriminator_width: int = setting(
        16,
        "Width of feature discriminators: 4 times as many channels in their first "
        "layer, 8 times in their last.",
        low=1,
    )


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """Text encoder (STEM), DAMSM's image encoder, and captioner (STREAM)."""

    text_encoder: str = setting("stem", "Name of the text encoder: stem (paper).")
    embedding_dim: int = setting(
        300, "Length of STEM's input word vectors (paper: 300).", low=1
    )
    words_dim: int = setting(
        256,
        "D, length of the word and sentence embeddings, an even number (paper: 256).",
        low=2,
    )
    image_encoder: str = setting(
        "inception_v3",
        "Backbone of DAMSM's image encoder: inception_v3 (paper), resnet152, small, or "
        "inception_v3_torchvision or resnet152_torchvision for converted weights.",
    )
    image_encoder_weights: str = setting(
        "imagenet",
        "Weights of that backbone. imagenet: downloaded (paper); a Keras weights file; "
        "none: random weights; backbone: backbone small is first trained on the labels "
        "of the data set, in stage backbone.",
        path=True,
    )
    stream_encoder: str = setting(
        "resnet152",
        "Backbone of STREAM's image encoder (as --image_encoder; paper: resnet152).",
    )
    stream_encoder_weights: str = setting(
        "imagenet",
        "Weights of that backbone. imagenet: downloaded (paper); a Keras weights file; "
        "none: random weights; stem: those of DAMSM's image encoder.",
        path=True,
    )
    small_width: int = setting(
        32, "Channels of the first layer of backbone small.", low=1
    )
    stream_embedding_dim: int = setting(
        256,
        "Length of STREAM's word vectors and of its image feature (paper: 256).",
        low=1,
    )
    stream_hidden_dim: int = setting(512, "Units of STREAM's LSTM (paper: 512).", low=1)
    stream_long_memory: float = setting(
        0.0,
        "Fraction of these units whose gate biases are initialised to remember the "
        "image for the whole caption; the ends of captions are learned sooner (paper: "
        "0).",
        low=0,
        high=1,
    )
    frozen_view_shift: float = setting(
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

    adversarial_loss: str = setting(
        "cross_entropy",
        "Adversarial loss: cross_entropy (paper) or hinge.",
        choices=("cross_entropy", "hinge"),
    )
    feature_discriminator_weight: float = setting(
        1.0,
        "Weight of the generator's adversarial loss against feature discriminators, "
        "their mean over the feature maps.",
        low=0,
    )
    r1_weight: float = setting(
        0.0,
        "gamma of R1, the penalty of the discriminators' gradient at real images. 0: "
        "none (paper).",
        low=0,
    )
    r1_every: int = setting(
        1,
        "Steps from one R1 penalty to the next. More than 1 trains up to three times "
        "as fast, needs --nodiscriminator_normalization, and multiplies the penalty by "
        "this number, so that --r1_weight keeps its meaning.",
        low=1,
    )
    redescription_weight: float = setting(
        20.0,
        "lambda, weight of STREAM's cross entropy of the caption given the generated "
        "image (paper: 20).",
        low=0,
    )
    redescribe: str = setting(
        "last",
        "Images in that loss. last: the largest (paper); all: the mean over all sizes.",
        choices=("last", "all"),
    )
    kl_weight: float = setting(
        1.0,
        "Weight of the KL divergence of the condition from N(0, I) (paper: 1).",
        low=0,
    )
    damsm_weight: float = setting(
        0.0,
        "Weight of the DAMSM loss of the largest image. 0: none (paper; AttnGAN: 5 on "
        "CUB, 50 on COCO).",
        low=0,
    )
    gamma1: float = setting(
        4.0,
        "DAMSM's gamma 1: sharpness of a word's attention to image regions (authors' "
        "code: 4).",
        low=0,
        high=100,
    )
    gamma2: float = setting(
        5.0,
        "DAMSM's gamma 2: how much the best matching words of a caption dominate "
        "(authors' code: 5).",
        low=0,
    )
    gamma3: float = setting(
        10.0,
        "DAMSM's gamma 3: sharpness of the softmax over captions and over images "
        "(authors' code: 10).",
        low=0,
    )
