"""FID during stage glam: `--evaluate_every`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.autoencoder import open_autoencoder
from mirrorgan_tf.evaluation.features import FeatureExtractor
from mirrorgan_tf.evaluation.fid import fid
from mirrorgan_tf.evaluation.image_sets import real_images
from mirrorgan_tf.evaluation.sampling import choose_images, sample_captions
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text_to_image import TextToImage
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stage import Observation, Observer

__all__ = ["FidObserver", "fid_of"]

_IMAGES = 1000
_BATCH = 32
_SEED = 1


class FidObserver(Observer):
    """FID of the images of the averaged generator, in the features of an autoencoder.

    The autoencoder is trained on the training images before the first step, without
    labels and without a download. `mirrorgan evaluate` uses the same one.
    """

    after_first_step = False
    best_figure, lowest_is_best = "fid", True

    def __init__(
        self,
        stage: GlamStage,
        tokenizer: CaptionTokenizer,
        splits: Mapping[str, CaptionedImages],
        *,
        networks_folder: Path,
        every: int,
        computes: bool = True,
    ):
        """Computes the features of real images; call outside the strategy's scope.

        Args:
            stage: the stage that is trained.
            tokenizer: the run's tokenizer.
            splits: the run's data, "train" and "val".
            networks_folder: where the autoencoder is saved.
            every: steps between two values.
            computes: whether this worker computes the FID; others return 0.

        Raises:
            UserError: there are fewer than 2 validation images.
        """
        self.every = every
        self._computes = computes
        if not computes:
            return
        size_px = stage.config.sizes[-1]
        validation = splits["val"]
        if len(validation) < 2:
            raise UserError(
                "--evaluate_every: the FID needs at least 2 validation images; add "
                "images or leave the flag out"
            )
        self._captions = sample_captions(validation, _IMAGES, seed=_SEED).captions
        self._extractor = _open_in_float32(networks_folder, splits["train"], size_px)
        real = real_images(
            "val", choose_images(validation, _IMAGES, seed=_SEED), size_px
        )
        self._real_features = np.concatenate(
            [self._extractor(batch)["features"] for batch in real.batches(_BATCH, 0)]
        )
        text_to_image = TextToImage(tokenizer, stage.stem, stage.glam_ema)

        @tf.function(autograph=False, reduce_retracing=True)
        def generate(captions, seeds):
            return to_uint8(text_to_image.from_seeds(captions, seeds)["images"][-1])

        self._generate = generate

    def __call__(self) -> Observation:
        """Computes the FID.

        It is too high, because there are few images; compare values of one run only.
        """
        if not self._computes:
            return {self.best_figure: 0.0}, {}

        def generate(captions, seeds):
            return self._generate(
                tf.constant(list(captions)), tf.constant(list(seeds), tf.int64)
            ).numpy()

        value = fid_of(
            generate, self._captions, self._real_features, self._extractor, seed=_SEED
        )
        return {self.best_figure: value}, {}


def fid_of(
    generate: Callable[[Sequence[str], Sequence[int]], np.ndarray],
    captions: Sequence[str],
    real_features: np.ndarray,
    extractor: FeatureExtractor,
    *,
    seed: int,
) -> float:
    """FID of images that are generated from captions.

    Args:
        generate: captions and seeds (B,) to images (B, S, S, 3) uint8.
        captions: M texts, one image each; M at least 2.
        real_features: (N, D), features of real images.
        extractor: images to `features` (B, D).
        seed: determines the noise, which differs between images.

    Raises:
        ValueError: fewer than 2 captions or rows of `real_features`.
    """
    seeds = range(seed * 2**24, seed * 2**24 + len(captions))
    features = [
        extractor(
            generate(captions[start : start + _BATCH], seeds[start : start + _BATCH])
        )["features"]
        for start in range(0, len(captions), _BATCH)
    ]
    return fid(real_features, np.concatenate(features))


def _open_in_float32(folder, index, size_px):
    """Opens the autoencoder as `mirrorgan evaluate` does, in float32.

    The training may have set another policy.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return open_autoencoder(folder, index, size_px)
    finally:
        keras.config.set_dtype_policy(policy)
