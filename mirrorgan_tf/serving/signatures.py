"""The computations of the signatures of a served model."""

import tensorflow as tf

from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.text_to_image import TextToImage, seeded_noise

__all__ = ["Signatures"]

_JPEG_QUALITY = 95


class Signatures:
    """A method for each signature, from tensors of at least one row to outputs by name.

    Args:
        text_to_image: the model; needs a STREAM for `redescribe` and `best_of`.
        candidates: number of images from which `best_of` chooses.
    """

    def __init__(self, text_to_image: TextToImage, candidates: int) -> None:
        self._text_to_image = text_to_image
        self._candidates = candidates

    def image(self, caption: tf.Tensor) -> dict:
        """Images of noise that is new at each call."""
        shape = tf.stack([tf.size(caption), self._text_to_image.noise_dim])
        # The raw op with seeds of 0 gets a new seed at each start of the server.
        # tf.random.normal would store a global seed that was set during the export.
        noise = tf.raw_ops.RandomStandardNormal(shape=shape, dtype=tf.float32)
        return {"image": to_uint8(self._text_to_image(caption, noise)["images"][-1])}

    def png(self, caption: tf.Tensor) -> dict:
        """PNG files of `image`."""
        return self._encoded_images(caption, tf.io.encode_png)

    def jpeg(self, caption: tf.Tensor) -> dict:
        """JPEG files of `image`."""
        return self._encoded_images(
            caption, lambda image: tf.io.encode_jpeg(image, quality=_JPEG_QUALITY)
        )

    def _encoded_images(self, caption, encode):
        images = self.image(caption)["image"]
        return {"image_bytes": tf.map_fn(encode, images, fn_output_signature=tf.string)}

    def seeded(self, caption: tf.Tensor, seed: tf.Tensor) -> dict:
        """Images that caption and seed determine."""
        outputs = self._text_to_image.from_seeds(caption, seed)
        return {"image": to_uint8(outputs["images"][-1])}

    def interpolate(
        self,
        caption_from: tf.Tensor,
        caption_to: tf.Tensor,
        weight: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict:
        """Images between two captions; a weight that is NaN counts as 0."""
        weight = tf.where(tf.math.is_nan(weight), 0.0, weight)
        outputs = self._text_to_image.interpolate(
            caption_from,
            caption_to,
            tf.clip_by_value(weight, 0.0, 1.0),
            seeded_noise(seed, self._text_to_image.noise_dim),
        )
        return {"image": to_uint8(outputs["images"][-1])}

    def explain(self, caption: tf.Tensor, seed: tf.Tensor) -> dict:
        """Images of every scale, attention maps and the known words."""
        generated = self._text_to_image.from_seeds(caption, seed)
        outputs = {
            f"image_{images.shape[1]}": to_uint8(images)
            for images in generated["images"]
        }
        for maps in generated["word_attention"]:
            outputs[f"word_attention_{maps.shape[1]}"] = maps
        for maps in generated["sentence_attention"]:
            outputs[f"sentence_attention_{maps.shape[1]}"] = _concentration(maps)
        tokenizer = self._text_to_image.tokenizer
        outputs["words"] = tokenizer.detokenize(generated["ids"][..., tf.newaxis])
        outputs["length"] = generated["lengths"]
        return outputs

    def redescribe(self, caption: tf.Tensor, seed: tf.Tensor) -> dict:
        """Images, STREAM's captions of them, and the given captions' likelihood."""
        outputs = self._text_to_image.describe(caption, seed)
        tokenizer = self._text_to_image.tokenizer
        return {
            "image": to_uint8(outputs["images"][-1]),
            "redescription": tokenizer.detokenize(outputs["redescription_ids"]),
            "log_likelihood": outputs["log_likelihood"],
        }

    def best_of(self, caption: tf.Tensor, seed: tf.Tensor) -> dict:
        """Of images of several seeds, the one for which the caption is most likely.

        The inputs have one row. Of equally likely images the first one is chosen.
        """

        def score(candidate_seed):
            outputs = self._text_to_image.describe(
                caption, candidate_seed[tf.newaxis], redescribe=False
            )
            return to_uint8(outputs["images"][-1][0]), outputs["log_likelihood"][0]

        seeds = seed[0] + tf.range(self._candidates, dtype=tf.int64)
        side = self._text_to_image.glam.sizes[-1]
        images, scores = tf.map_fn(
            score,
            seeds,
            parallel_iterations=1,
            fn_output_signature=(
                tf.TensorSpec([side, side, 3], tf.uint8),
                tf.TensorSpec([], tf.float32),
            ),
        )
        best = tf.argmax(scores)
        return {
            "image": images[best][tf.newaxis],
            "seed": seeds[best][tf.newaxis],
            "log_likelihood": scores[best][tf.newaxis],
        }

    def embed(self, caption: tf.Tensor) -> dict:
        """STEM's embeddings."""
        embeddings = self._text_to_image.embed(caption)
        return {
            "words": embeddings["words"],
            "sentence": embeddings["sentence"],
            "length": embeddings["lengths"],
        }


def _concentration(weights):
    """One minus the relative entropy of weights (.., C) that sum to 1.

    Returns:
        (..): 0 if all weights are equal, 1 if all but one are 0.
    """
    entropy = -tf.reduce_sum(tf.math.xlogy(weights, weights), axis=-1)
    # The entropy of a single channel is 0; the 2 avoids a division by log 1 = 0.
    maximum = tf.math.log(tf.cast(max(weights.shape[-1], 2), weights.dtype))
    return tf.clip_by_value(1.0 - entropy / maximum, 0.0, 1.0)
