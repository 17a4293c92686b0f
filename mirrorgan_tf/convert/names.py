"""Maps the variables of our networks to the original's parameters."""

import functools
from collections.abc import Callable

import keras
import numpy as np

from mirrorgan_tf.convert.layouts import (
    Entry,
    batch_norm_entries,
    conv_entry,
    dense_entries,
    lstm_entries,
    pointwise_entry,
    same_entry,
)
from mirrorgan_tf.models.discriminators import ConvBlock, Discriminator
from mirrorgan_tf.models.glam import FirstStage, Glam, LaterStage
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import StreamDecoder, StreamEncoder

__all__ = ["network_entries", "pytorch_entries"]

# In CAPTION_CNN, torchvision's modules are in a Sequential, which names them by number.
_RESNET_POSITIONS = {
    "conv1": 0,
    "bn1": 1,
    "layer1": 4,
    "layer2": 5,
    "layer3": 6,
    "layer4": 7,
}


@functools.singledispatch
def pytorch_entries(model: keras.Model) -> list[Entry]:
    """Maps every variable of a built model to its names in the original.

    Raises:
        TypeError: the original has no such network.
    """
    raise _unknown_model_error(model)


def _unknown_model_error(model):
    return TypeError(
        f"model={model!r}; expected Stem, Glam, Discriminator, StreamDecoder, "
        "ImageEncoder on inception_v3_torchvision, or StreamEncoder on "
        "resnet152_torchvision"
    )


@pytorch_entries.register
def _(model: Stem) -> list[Entry]:
    return [
        same_entry("encoder.weight", model.embedding.embeddings),
        *lstm_entries("rnn", "l0", model.forward_lstm),
        *lstm_entries("rnn", "l0_reverse", model.backward_lstm),
    ]


@pytorch_entries.register
def _(model: StreamDecoder) -> list[Entry]:
    return [
        same_entry("embed.weight", model.embedding.embeddings),
        *lstm_entries("lstm", "l0", model.lstm),
        *dense_entries("linear", model.projection),
    ]


@pytorch_entries.register
def _(model: ImageEncoder) -> list[Entry]:
    if model.backbone_name != "inception_v3_torchvision":
        raise _unknown_model_error(model)
    return [
        *network_entries(model.backbone.network, lambda name: name),
        pointwise_entry("emb_features.weight", model.region_projection),
        *dense_entries("emb_cnn_code", model.code_projection),
    ]


@pytorch_entries.register
def _(model: StreamEncoder) -> list[Entry]:
    if model.backbone_name != "resnet152_torchvision":
        raise _unknown_model_error(model)

    def numbered(name):
        module, _, rest = name.partition(".")
        return f"resnet.{_RESNET_POSITIONS[module]}" + (f".{rest}" if rest else "")

    return [
        *network_entries(model.backbone.network, numbered),
        *dense_entries("linear", model.projection),
        *batch_norm_entries("bn", model.norm),
    ]


@pytorch_entries.register
def _(model: Glam) -> list[Entry]:
    entries = dense_entries("ca_net.fc", model.conditioning.dense)
    entries += _first_stage_entries("h_net1", model.first_stage)
    for i, stage in enumerate(model.later_stages, start=2):
        entries += _later_stage_entries(f"h_net{i}", stage)
    for i, head in enumerate(model.image_heads, start=1):
        entries.append(conv_entry(f"img_net{i}.img.0.weight", head.conv))
    return entries


@pytorch_entries.register
def _(model: Discriminator) -> list[Entry]:
    entries = []
    # The first module has up to four blocks, which reduce the images to 1/16.
    position = 0
    for block in model.down_blocks[:4]:
        entries += _block_entries("img_code_s16", position, block)
        # A block is a convolution, a batch norm in all blocks but the first, and an
        # activation.
        position += 3 if block.norm else 2
    for i, block in enumerate(model.down_blocks[4:]):
        entries += _block_entries(f"img_code_s{32 * 2**i}", 0, block)
    last = 16 * 2 ** len(model.narrow_blocks)
    for i, block in enumerate(model.narrow_blocks, start=1):
        entries += _block_entries(f"img_code_s{last}_{i}", 0, block)
    for module, head in (
        ("UNCOND_DNET", model.unconditional_head),
        ("COND_DNET", model.conditional_head),
    ):
        entries += [
            conv_entry(f"{module}.outlogits.0.weight", head),
            same_entry(f"{module}.outlogits.0.bias", head.bias),
        ]
    return entries + _block_entries("COND_DNET.jointConv", 0, model.joint_block)


def network_entries(
    network: keras.Model, their_name: Callable[[str], str]
) -> list[Entry]:
    """Maps a network whose layers have torchvision's names.

    Args:
        network: its convolutions and batch norms are mapped.
        their_name: returns the original's name for a layer's name.
    """
    entries = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            entries.append(conv_entry(f"{their_name(layer.name)}.weight", layer))
        elif isinstance(layer, keras.layers.BatchNormalization):
            entries += batch_norm_entries(their_name(layer.name), layer)
    return entries


def _block_entries(module: str, position: int, block: ConvBlock) -> list[Entry]:
    entries = [conv_entry(f"{module}.{position}.weight", block.conv)]
    if block.norm:
        entries += batch_norm_entries(f"{module}.{position + 1}", block.norm)
    return entries


def _first_stage_entries(module: str, stage: FirstStage) -> list[Entry]:
    # The original's features have the order (half of the GLU, channel, y, x), ours
    # (half of the GLU, y, x, channel).
    channels = stage.channels

    def to_ours(array):
        split = array.reshape(2, channels, 4, 4, *array.shape[1:])
        return np.moveaxis(split, 1, 3).reshape(array.shape)

    def to_theirs(array):
        split = array.reshape(2, 4, 4, channels, *array.shape[1:])
        return np.moveaxis(split, 3, 1).reshape(array.shape)

    entries = [
        Entry(
            (f"{module}.fc.0.weight",),
            stage.dense.kernel,
            lambda array: to_ours(array).T,
            lambda array: (to_theirs(array.T),),
        ),
        *batch_norm_entries(f"{module}.fc.1", stage.norm, (to_ours, to_theirs)),
    ]
    for i, block in enumerate(stage.up_blocks, start=1):
        entries += _up_entries(f"{module}.upsample{i}", block)
    return entries


def _later_stage_entries(module: str, stage: LaterStage) -> list[Entry]:
    entries = []
    if stage.words:
        entries.append(
            pointwise_entry(f"{module}.att.conv_context.weight", stage.words.projection)
        )
    if stage.sentence:
        entries.append(
            pointwise_entry(
                f"{module}.att.conv_sentence_vis.weight", stage.sentence.mixing
            )
        )
        entries += dense_entries(f"{module}.att.linear", stage.sentence.projection)
    for i, block in enumerate(stage.residual_blocks):
        inner = f"{module}.residual.{i}.block"
        entries += [
            conv_entry(f"{inner}.0.weight", block.conv1),
            *batch_norm_entries(f"{inner}.1", block.norm1),
            conv_entry(f"{inner}.3.weight", block.conv2),
            *batch_norm_entries(f"{inner}.4", block.norm2),
        ]
    entries += _up_entries(f"{module}.upsample", stage.up_block)
    if stage.narrowing:
        entries.append(conv_entry(f"{module}.conv.weight", stage.narrowing))
    return entries


def _up_entries(module, block):
    return [
        conv_entry(f"{module}.1.weight", block.conv),
        *batch_norm_entries(f"{module}.2", block.norm),
    ]
