"""What is served: captions to images as a module that carries everything it needs."""

import tensorflow as tf

from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text_to_image import TextToImage

__all__ = ["ServedModel"]


class ServedModel(tf.Module):
    """Tokenizer, STEM and GLAM behind signatures for `tf.saved_model.save`.

    No call changes a variable, so one loaded model may answer many at once.

    Attributes:
        endpoints: the functions to serve as signatures, by name.
    """

    def __init__(self, tokenizer: CaptionTokenizer, stem: Stem, glam: Glam) -> None:
        """Takes trained parts; `glam` is the averaged generator."""
        super().__init__(name="served_model")
        text_to_image = TextToImage(tokenizer, stem, glam)
        # The models themselves stay out of sight: saving would trace a signature
        # of one input for each of them, which theirs don't have.
        self._tokenizer = tokenizer
        self._weights = [keras_variable.value for keras_variable in stem.variables]
        self._weights += [keras_variable.value for keras_variable in glam.variables]
        self.endpoints = {"serving_default": _make_generate(text_to_image)}


def _make_generate(
    text_to_image: TextToImage,
) -> tf.types.experimental.PolymorphicFunction:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="caption")])
    def generate(caption):
        """Makes an image for each caption, another one at each call.

        Any bytes are a caption: what holds no known word (empty, punctuation,
        unknown words, invalid UTF-8) gives an image of no particular content.

        Args:
            caption: string (N,), UTF-8; N may be 0.

        Returns:
            `image`: (N, H, W, 3) uint8, RGB.
        """
        count = tf.size(caption)
        # An empty batch leaves TensorFlow 2.21's oneDNN convolution with as many
        # channels as it came with, and the next layer fails.
        fill = tf.fill([tf.maximum(1 - count, 0)], "")
        captions = tf.concat([caption, fill], 0)
        shape = tf.stack([tf.size(captions), text_to_image.noise_dim])
        # tf.random.normal's own op, with seeds of 0: any seed set globally while
        # exporting would be frozen in, and each restart would repeat itself.
        noise = tf.raw_ops.RandomStandardNormal(shape=shape, dtype=tf.float32)
        made = text_to_image(captions, noise)
        return {"image": to_uint8(made["images"][-1][:count])}

    return generate
