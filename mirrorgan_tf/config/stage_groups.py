"""Settings of the stages of a training, and of how it is run and reported."""

import dataclasses

from mirrorgan_tf.config.field import setting
from mirrorgan_tf.config.groups import KERNELS

__all__ = [
    "BackboneStageSettings",
    "GlamStageSettings",
    "RunSettings",
    "StemStageSettings",
    "StreamStageSettings",
]


@dataclasses.dataclass(frozen=True)
class BackboneStageSettings:
    """Stage backbone (--image_encoder_weights=backbone): labels of the data set."""

    steps: int = setting(4500, "Training steps.", flag="backbone_steps", low=1)
    batch_size: int = setting(
        32,
        "Images of a step on all devices together.",
        flag="backbone_batch_size",
        low=2,
    )
    learning_rate: float = setting(
        3e-3,
        "Adam's learning rate at the first step; it falls to 0 along a cosine.",
        flag="backbone_learning_rate",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class StemStageSettings:
    """Stage stem: the text encoder and DAMSM's image encoder."""

    steps: int = setting(
        110_000, "Training steps.", flag="stem_steps", low=1, runtime=True
    )
    batch_size: int = setting(
        48,
        "Images of a step on all devices together (authors' code: 48).",
        flag="stem_batch_size",
        low=2,
    )
    captions: int = setting(
        1,
        "Captions of each image in a step: the sentence loss uses all, the word loss "
        "the first (paper: 1).",
        flag="stem_captions",
        low=1,
        high=20,
    )
    learning_rate: float = setting(
        2e-3,
        "Adam's learning rate at the first step (authors' code: 2e-3).",
        flag="stem_learning_rate",
        low=0,
    )
    schedule: str = setting(
        "steps",
        "How the learning rate falls. steps: by --stem_decay; cosine: to 0 at "
        "--stem_steps (a larger --stem_steps raises it again).",
        flag="stem_schedule",
        choices=("steps", "cosine"),
    )
    decay: float = setting(
        0.98,
        "Factor on the learning rate every --stem_decay_steps (authors' code: 0.98).",
        flag="stem_decay",
        low=0,
        high=1,
    )
    decay_steps: int = setting(
        185,
        "Steps between two decays (authors' code: an epoch).",
        flag="stem_decay_steps",
        low=1,
    )
    dropout: float = setting(
        0.5,
        "Dropout rate of STEM's input word vectors (authors' code: 0.5).",
        flag="stem_dropout",
        low=0,
        high=0.99,
    )
    gradient_clip: float = setting(
        0.25,
        "Largest norm of STEM's gradient; larger ones are scaled down. 0: no limit "
        "(authors' code: 0.25).",
        flag="stem_gradient_clip",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class StreamStageSettings:
    """Stage stream: the captioner STREAM."""

    steps: int = setting(
        28_000, "Training steps.", flag="stream_steps", low=1, runtime=True
    )
    batch_size: int = setting(
        64, "Images of a step on all devices together.", flag="stream_batch_size", low=2
    )
    captions: int = setting(
        1,
        "Captions of each image in a step; the image is encoded once for all (paper: "
        "1).",
        flag="stream_captions",
        low=1,
        high=20,
    )
    learning_rate: float = setting(
        1e-3,
        "Adam's learning rate at the first step (paper: 1e-3).",
        flag="stream_learning_rate",
        low=0,
    )
    schedule: str = setting(
        "steps",
        "How the learning rate falls. steps: by --stream_decay; cosine: to 0 at "
        "--stream_steps.",
        flag="stream_schedule",
        choices=("steps", "cosine"),
    )
    decay: float = setting(
        1.0,
        "Factor on the learning rate every --stream_decay_steps. 1: no decay (paper).",
        flag="stream_decay",
        low=0,
        high=1,
    )
    decay_steps: int = setting(
        460, "Steps between two decays.", flag="stream_decay_steps", low=1
    )
    gradient_clip: float = setting(
        0.0,
        "Largest norm of the gradient; larger ones are scaled down. 0: no limit "
        "(paper).",
        flag="stream_gradient_clip",
        low=0,
    )


@dataclasses.dataclass(frozen=True)
class GlamStageSettings:
    """Stage glam: the generator and its discriminators."""

    steps: int = setting(
        265_650,
        "Training steps (paper: 600 epochs on CUB, 120 on COCO).",
        flag="glam_steps",
        low=1,
        runtime=True,
    )
    batch_size: int = setting(
        20,
        "Images of a step on all devices together (authors' code: 12 to 20 on CUB, 14 "
        "on COCO).",
        flag="glam_batch_size",
        low=2,
    )
    generator_learning_rate: float = setting(
        2e-4,
        "Adam's learning rate for the generator (paper: 2e-4).",
        low=0,
    )
    discriminator_learning_rate: float = setting(
        2e-4,
        "Adam's learning rate for each discriminator (paper: 2e-4).",
        low=0,
    )
    schedule: str = setting(
        "constant",
        "How the learning rates change. constant: not at all (paper); cosine: they "
        "fall to 0 at --glam_steps.",
        flag="glam_schedule",
        choices=("constant", "cosine"),
    )
    adam_beta1: float = setting(
        0.5,
        "Adam's beta 1 for generator and discriminators (paper: 0.5).",
        low=0,
        high=0.999,
    )
    ema_decay: float = setting(
        0.999,
        "Decay per step of the moving average of the generator's weights, which is the "
        "generator that is used (authors' code: 0.999).",
        low=0,
        high=1,
    )
    ema_warm_up: bool = setting(
        False,
        "Use a smaller decay in the first steps, to forget the random initialisation "
        "sooner (paper: no).",
    )


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Execution, logging and checkpoints."""

    seed: int = setting(
        1,
        "Seed of initial weights, noise, order of the data and augmentation.",
        low=0,
        high=2**31 - 1,
    )
    strategy: str = setting(
        "mirrored",
        "Devices. mirrored: all GPUs of this machine, or its CPU; one_device: the "
        "first GPU or the CPU; multi_worker: all machines in TF_CONFIG.",
        choices=("mirrored", "one_device", "multi_worker"),
        runtime=True,
    )
    accumulate_steps: int = setting(
        1,
        "Micro-batches of a step in stages stream and glam, to save memory. Batch "
        "statistics and mismatched captions are then those of a micro-batch.",
        low=1,
        runtime=True,
    )
    remat: bool = setting(
        False,
        "Stage glam: recompute the activations of the generator's blocks for the "
        "gradients instead of keeping them: less memory, more time.",
        runtime=True,
    )
    mixed_precision: str = setting(
        "none",
        "bfloat16: compute in bfloat16; weights, batch statistics and losses stay "
        "float32. none: all in float32. auto: bfloat16 where the device is fast at it: "
        "GPUs of compute capability 8.0 and above, CPUs with avx512_bf16 or amx_bf16.",
        choices=("none", "bfloat16", "auto"),
        runtime=True,
    )
    kernels: str = setting(
        "auto",
        "auto: fast versions of operations where they were measured to be faster; "
        "reference: the plain versions everywhere, to find out whether a fast one "
        "causes a problem.",
        choices=KERNELS,
        runtime=True,
    )
    tf32: bool = setting(
        True,
        "Multiply float32 numbers in TF32 on GPUs that have it (A100 and later): "
        "faster, with 10 bits of mantissa. --notf32: in full precision.",
        runtime=True,
    )
    jit_compile: bool = setting(
        False,
        "Compile the training steps with XLA; on one device only.",
        runtime=True,
    )
    deterministic: bool = setting(
        False,
        "Use only operations that give the same bits in every run; slower.",
        runtime=True,
    )
    on_nan: str = setting(
        "stop",
        "A loss or weight is NaN or infinite. stop: end the training; rollback: "
        "continue from the last checkpoint with another seed.",
        choices=("stop", "rollback"),
        runtime=True,
    )
    max_rollbacks: int = setting(
        3,
        "Rollbacks of a stage after which it stops (--on_nan=rollback).",
        low=0,
        runtime=True,
    )
    init_from: str = setting(
        "",
        "Start a new training from the weights of another, as far as they fit, for "
        "example to fine-tune on your own images: a workdir, or the name or folder of "
        "a preset. Empty: random weights.",
        runtime=True,
        path=True,
    )
    log_format: str = setting(
        "text",
        "Log lines as text, or as json with one object a line.",
        choices=("text", "json"),
        runtime=True,
    )
    log_every: int = setting(20, "Steps between two log lines.", low=1, runtime=True)
    picture_every: int = setting(
        500,
        "Steps between two pictures of samples, and between two validations.",
        low=1,
        runtime=True,
    )
    evaluate_every: int = setting(
        0,
        "Stage glam: steps between two computations of the FID of generated validation "
        "images, a curve in TensorBoard; the weights with the lowest FID are kept. 0: "
        "never.",
        low=0,
        runtime=True,
    )
    checkpoint_every: int = setting(
        1000, "Steps between two checkpoints.", low=1, runtime=True
    )
    patience: int = setting(
        0,
        "End stages stem and stream after this many validations without a better "
        "figure. 0: never; the best weights are used in any case.",
        low=0,
        runtime=True,
    )
    keep_checkpoints: int = setting(
        2,
        "Number of the newest checkpoints of a stage to keep.",
        low=1,
        runtime=True,
    )
