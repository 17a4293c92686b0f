"""Networks of the sizes and with the parameters of a state of the original."""

from keras import ops

from mirrorgan_tf.convert import sizes
from mirrorgan_tf.convert.loading import load_pytorch_state
from mirrorgan_tf.convert.sizes import State
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import StreamDecoder

__all__ = ["load_discriminator", "load_glam", "load_stem", "load_stream_decoder"]


def load_stem(state: State) -> Stem:
    """STEM from RNN_ENCODER's state."""
    stem = Stem(**sizes.stem_sizes(state))
    stem(ops.zeros((1, 1), "int32"), ops.ones((1,), "int32"))
    load_pytorch_state(stem, state)
    return stem


def load_stream_decoder(state: State) -> StreamDecoder:
    """STREAM's decoder from its state."""
    decoder = StreamDecoder(**sizes.stream_decoder_sizes(state))
    decoder(ops.zeros((1, decoder.embedding_dim)), ops.zeros((1, 2), "int32"))
    load_pytorch_state(decoder, state)
    return decoder


def load_glam(state: State) -> Glam:
    """GLAM from G_NET's state, MirrorGAN's or AttnGAN's."""
    arguments, words_dim = sizes.glam_sizes(state)
    glam = Glam(**arguments)
    glam.build(
        (None, None, words_dim),
        (None, words_dim),
        (None, glam.noise_dim),
        (None, glam.condition_dim),
    )
    load_pytorch_state(glam, state)
    return glam


def load_discriminator(state: State) -> Discriminator:
    """A discriminator from the state of D_NET64, D_NET128, D_NET256, .."""
    arguments, words_dim = sizes.discriminator_sizes(state)
    discriminator = Discriminator(**arguments)
    size = discriminator.size
    discriminator.build((None, size, size, 3), (None, words_dim))
    load_pytorch_state(discriminator, state)
    return discriminator
