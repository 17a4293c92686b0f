"""Conditioning augmentation: a sentence becomes a sample of a Gaussian."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.blocks import GLU, dense, full_precision

__all__ = ["ConditioningAugmentation"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ConditioningAugmentation(layers.Layer):
    """Maps (sentence, condition_noise) to (s_ca, mu, log_var).

    s_ca = mu + exp(log_var / 2) · noise, in training and at inference. The three
    are in full precision under any dtype policy.

    Args:
        condition_dim: D', length of s_ca.

    Source: MirrorGAN, section 3.2 (F^ca); authors' code for the GLU.
    """

    def __init__(self, condition_dim: int = 100, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense(4 * condition_dim, use_bias=True, dtype=self.dtype_policy)
        self.glu = GLU(dtype=self.dtype_policy)

    def build(self, sentence_shape, condition_noise_shape=None):
        self.dense.build(sentence_shape)
        self.built = True

    def call(self, sentence, condition_noise):
        """Samples the condition.

        Args:
            sentence: (B, D).
            condition_noise: (B, D') from N(0, 1).

        Returns:
            s_ca, mu, log_var (natural log of the variance), each (B, D').
        """
        statistics = full_precision(self.glu(self.dense(sentence)))
        mu, log_var = ops.split(statistics, 2, axis=-1)
        noise = ops.cast(condition_noise, mu.dtype)
        return mu + ops.exp(0.5 * log_var) * noise, mu, log_var
