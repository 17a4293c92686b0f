"""Infers the sizes of our networks from the original's parameters."""

import re

import numpy as np

from mirrorgan_tf.errors import UserError

__all__ = [
    "discriminator_sizes",
    "glam_sizes",
    "image_encoder_sizes",
    "stem_sizes",
    "stream_decoder_sizes",
    "stream_encoder_sizes",
]

State = dict[str, np.ndarray]


def stem_sizes(state: State) -> dict[str, int]:
    """Arguments of Stem, from RNN_ENCODER's state.

    Raises:
        UserError: a parameter is missing or has a wrong number of axes. The functions
            below raise it too.
    """
    vocabulary_size, embedding_dim = _shape(state, "encoder.weight", 2)
    _, hidden = _shape(state, "rnn.weight_hh_l0", 2)
    return {
        "vocabulary_size": vocabulary_size,
        "embedding_dim": embedding_dim,
        "words_dim": 2 * hidden,
    }


def image_encoder_sizes(state: State) -> dict[str, int]:
    """Arguments of ImageEncoder, from CNN_ENCODER's state."""
    words_dim, _, _, _ = _shape(state, "emb_features.weight", 4)
    return {"words_dim": words_dim}


def stream_encoder_sizes(state: State) -> dict[str, int]:
    """Arguments of StreamEncoder, from CAPTION_CNN's state."""
    feature_dim, _ = _shape(state, "linear.weight", 2)
    return {"feature_dim": feature_dim}


def stream_decoder_sizes(state: State) -> dict[str, int]:
    """Arguments of StreamDecoder, from CAPTION_RNN's state."""
    vocabulary_size, embedding_dim = _shape(state, "embed.weight", 2)
    _, hidden = _shape(state, "lstm.weight_hh_l0", 2)
    return {
        "vocabulary_size": vocabulary_size,
        "embedding_dim": embedding_dim,
        "hidden_dim": hidden,
    }


def glam_sizes(state: State) -> tuple[dict, int]:
    """Arguments of Glam and `words_dim`, from G_NET's state (MirrorGAN or AttnGAN).

    A generator of one stage has neither attention nor residual blocks.
    """
    rows, words_dim = _shape(state, "ca_net.fc.weight", 2)
    features, inputs = _shape(state, "h_net1.fc.0.weight", 2)
    doublings = _count(state, r"h_net1\.upsample(\d+)\.1\.weight")
    stages = _count(state, r"img_net(\d+)\.img\.0\.weight")
    if not stages:
        raise UserError(
            "there is no parameter img_net1.img.0.weight: not a generator of several "
            "stages (AttnGAN's G_DCGAN, of one image, is not supported)"
        )
    sizes = {
        "base_size": 4 * 2**doublings,
        "stages": stages,
        "width": max(1, features // (2 * 16 * 2**doublings)),
        "noise_dim": inputs - rows // 4,
        "condition_dim": rows // 4,
    }
    if stages > 1:
        sizes |= {
            "residual_blocks": _count(
                state, r"h_net2\.residual\.(\d+)\.block\.0\.weight"
            ),
            "word_attention": "h_net2.att.conv_context.weight" in state,
            "sentence_attention": "h_net2.att.linear.weight" in state,
        }
    return sizes, words_dim


def discriminator_sizes(state: State) -> tuple[dict[str, int], int]:
    """Arguments of Discriminator and `words_dim`, from the state of D_NET64, ..."""
    _, channels, _, _ = _shape(state, "UNCOND_DNET.outlogits.0.weight", 4)
    _, joint, _, _ = _shape(state, "COND_DNET.jointConv.0.weight", 4)
    halvings = sum(
        bool(re.fullmatch(r"img_code_s\d+\.\d+\.weight", name))
        # Counts kernels. The weights of batch norms have one axis.
        and np.ndim(array) == 4
        for name, array in state.items()
    )
    return {"size": 4 * 2**halvings, "width": max(1, channels // 8)}, joint - channels


def _shape(state, name, rank):
    if name not in state:
        raise UserError(f"there is no parameter {name}")
    shape = np.shape(state[name])
    if len(shape) != rank:
        raise UserError(f"parameter {name} has shape {shape}, not {rank} axes")
    return shape


def _count(state, pattern):
    return sum(bool(re.fullmatch(pattern, name)) for name in state)
