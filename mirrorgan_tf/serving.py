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
    """

    def __init__(self, tokenizer: CaptionTokenizer, stem: Stem, glam: Glam) -> None:
        """Takes trained parts; `glam` is the averaged generator."""
        super().__init__(name="served_model")
        self._text_to_image = TextToImage(tokenizer, stem, glam)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="caption")])
    def generate(self, caption: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes an image for each caption, another one at each call.

        Any bytes are a caption: what holds no known word (empty, punctuation,
        unknown words, invalid UTF-8) gives an image of no particular content.

        Args:
            caption: string (N,), UTF-8; N may be 0.

        Returns:
            `image`: (N, H, W, 3) uint8, RGB.
        """
        shape = tf.stack([tf.size(caption), self._text_to_image.noise_dim])
        # tf.random.normal's own op, with seeds of 0: any seed set globally while
        # exporting would be frozen in, and each restart would repeat itself.
        noise = tf.raw_ops.RandomStandardNormal(shape=shape, dtype=tf.float32)
        made = self._text_to_image(caption, noise)
        return {"image": to_uint8(made["images"][-1])}

    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The functions to serve by name."""
        return {"serving_default": self.generate}
