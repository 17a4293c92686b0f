"""Our networks, built to the sizes that the original's parameters have."""

import re

import numpy as np
from keras import ops

from mirrorgan_tf.convert.golden import MissingGoldenError
from mirrorgan_tf.convert.loading import load_pytorch_state
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import StreamDecoder

__all__ = [
    "make_discriminator",
    "make_glam",
    "make_stem",
    "make_stream_decoder",
]

State = dict[str, np.ndarray]


def make_stem(state: State) -> Stem:
    """STEM from RNN_ENCODER's state.

    Raises:
        UserError, MissingGoldenError: the parameters do not make one; so below.
    """
    vocabulary_size, embedding_dim = _shape(state, "encoder.weight", 2)
    _, hidden = _shape(state, "rnn.weight_hh_l0", 2)
    stem = Stem(vocabulary_size, embedding_dim=embedding_dim, words_dim=2 * hidden)
    stem(ops.zeros((1, 1), "int32"), ops.ones((1,), "int32"))
    load_pytorch_state(stem, state)
    return stem


def make_stream_decoder(state: State) -> StreamDecoder:
    """STREAM's decoder from its state."""
    vocabulary_size, embedding_dim = _shape(state, "embed.weight", 2)
    _, hidden = _shape(state, "lstm.weight_hh_l0", 2)
    decoder = StreamDecoder(vocabulary_size, embedding_dim, hidden)
    decoder(ops.zeros((1, embedding_dim)), ops.zeros((1, 2), "int32"))
    load_pytorch_state(decoder, state)
    return decoder


def make_glam(state: State) -> Glam:
    """GLAM from G_NET's state, MirrorGAN's or AttnGAN's."""
    rows, words_dim = _shape(state, "ca_net.fc.weight", 2)
    condition_dim = rows // 4
    features, inputs = _shape(state, "h_net1.fc.0.weight", 2)
    doublings = _count(state, r"h_net1\.upsample(\d+)\.1\.weight")
    stages = _count(state, r"img_net(\d+)\.img\.0\.weight")
    glam = Glam(
        base_size=4 * 2**doublings,
        stages=stages,
        width=max(1, features // (2 * 16 * 2**doublings)),
        residual_blocks=_count(state, r"h_net2\.residual\.(\d+)\.block\.0\.weight"),
        noise_dim=inputs - condition_dim,
        condition_dim=condition_dim,
        word_attention="h_net2.att.conv_context.weight" in state or stages == 1,
        sentence_attention="h_net2.att.linear.weight" in state or stages == 1,
    )
    glam.build(
        (None, None, words_dim),
        (None, words_dim),
        (None, glam.noise_dim),
        (None, condition_dim),
    )
    load_pytorch_state(glam, state)
    return glam


def make_discriminator(state: State) -> Discriminator:
    """A discriminator from the state of D_NET64, D_NET128, D_NET256, .."""
    _, channels, _, _ = _shape(state, "UNCOND_DNET.outlogits.0.weight", 4)
    _, joint, _, _ = _shape(state, "COND_DNET.jointConv.0.weight", 4)
    halvings = sum(
        bool(re.fullmatch(r"img_code_s\d+\.\d+\.weight", name))
        # Kernels, not scales of batch norms.
        and np.ndim(array) == 4
        for name, array in state.items()
    )
    discriminator = Discriminator(4 * 2**halvings, width=max(1, channels // 8))
    size = discriminator.size
    discriminator.build((None, size, size, 3), (None, joint - channels))
    load_pytorch_state(discriminator, state)
    return discriminator


def _shape(state, name, rank):
    if name not in state:
        raise MissingGoldenError(f"the parameters have no {name}")
    shape = np.shape(state[name])
    if len(shape) != rank:
        raise MissingGoldenError(f"parameter {name} has shape {shape}, not {rank} axes")
    return shape


def _count(state, pattern):
    return sum(bool(re.fullmatch(pattern, name)) for name in state)
