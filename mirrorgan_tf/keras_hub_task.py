"""MirrorGAN as a KerasHub task: `keras_hub.models.TextToImage.from_preset(folder)`.

A preset of this package is a KerasHub preset of this task. Importing this module
registers the classes that KerasHub looks up.
"""

from collections.abc import Mapping, Sequence

import h5py
import keras
import keras_nlp
import numpy as np
import tensorflow as tf
from keras import ops

from mirrorgan_tf.arguments import check_captions, check_seeds
from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.networks import build_glam, build_stream, build_text_encoder
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text_to_image import seeded_noise

__all__ = [
    "MirrorGANBackbone",
    "MirrorGANTextToImage",
    "MirrorGANTextToImagePreprocessor",
]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class MirrorGANBackbone(keras_nlp.models.Backbone):
    """The networks of a trained MirrorGAN: STEM, GLAM and STREAM.

    Args:
        vocabulary_size: number of word ids including id 0, padding.
        settings: settings of the training by the names of their flags, without paths.
        step: training steps of the generator.
        with_stream: whether there is a STREAM, which describes images.
        dtype: policy of the networks; None: Keras' global policy.

    Raises:
        ValueError: the settings are of another version.
    """

    def __init__(
        self,
        vocabulary_size: int,
        settings: Mapping[str, object],
        step: int = 0,
        with_stream: bool = True,
        dtype=None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        try:
            config = Config.from_flags(**settings)
        except (TypeError, UserError) as error:
            raise ValueError(f"settings: {error}") from None
        # Every weight comes from the preset.
        config = config.replace(
            image_encoder_weights="none", stream_encoder_weights="none"
        )
        self.training_config = config
        self.vocabulary_size = vocabulary_size
        self.step = step
        policy = self.dtype_policy
        self.stem = build_text_encoder(config, vocabulary_size, dtype=policy)
        self.glam = build_glam(config, dtype=policy)
        self.stream = (
            build_stream(config, vocabulary_size, dtype=policy) if with_stream else None
        )
        self.built = True

    def call(self, inputs):
        """Generates images.

        Args:
            inputs: dictionary of `noise`, (B, noise_dim + condition_dim) from N(0, 1),
                and of the tensors that the text encoder's `text_inputs` returns.

        Returns:
            (B, S, S, 3) float32 in [-1, 1].
        """
        text = dict(inputs)
        noise = text.pop("noise")
        words, sentence, padding_mask = self.stem(**text)
        return self.glam(
            words,
            sentence,
            noise[:, : self.glam.noise_dim],
            noise[:, self.glam.noise_dim :],
            padding_mask=padding_mask,
        )["images"][-1]

    def save_weights(self, filepath, **kwargs):
        """Writes the weights by position, so that layers may be renamed later.

        Args:
            filepath: an HDF5 file.
            **kwargs: further arguments of Keras' method, which are ignored.
        """
        with h5py.File(filepath, "w") as file:
            for name, weight in self._weights_by_name().items():
                value = np.asarray(weight)
                # HDF5 has no bfloat16.
                half = value.dtype == np.float16
                file[name] = value if half else value.astype(np.float32)

    def load_weights(self, filepath, **kwargs):
        """Reads what `save_weights` wrote.

        Args:
            filepath: an HDF5 file.
            **kwargs: further arguments of Keras' method, which are ignored.

        Raises:
            ValueError: the weights are of other networks.
        """
        with h5py.File(filepath) as file:
            stored = {
                f"{network}/{name}": values
                for network, group in file.items()
                for name, values in group.items()
            }
            weights = self._weights_by_name()
            shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
            if {name: values.shape for name, values in stored.items()} != shapes:
                raise ValueError(
                    f"{filepath}: the weights are not of the networks that the "
                    "settings describe"
                )
            for name, weight in weights.items():
                weight.assign(stored[name][()])

    def _weights_by_name(self):
        networks = {"stem": self.stem, "glam": self.glam, "stream": self.stream}
        return {
            f"{name}/{i}": weight
            for name, network in networks.items()
            if network is not None
            for i, weight in enumerate(network.weights)
        }

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "vocabulary_size": self.vocabulary_size,
            "settings": self.training_config.to_flags(paths=False),
            "step": self.step,
            "with_stream": self.stream is not None,
        }


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class MirrorGANTextToImagePreprocessor(keras_nlp.models.Preprocessor):
    """Captions to word ids.

    Args:
        tokenizer: the tokenizer, with the vocabulary of the training.
    """

    backbone_cls = MirrorGANBackbone
    tokenizer_cls = CaptionTokenizer

    def __init__(self, tokenizer: CaptionTokenizer, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer

    def generate_preprocess(self, captions) -> dict:
        """Captions (B,) to word ids (B, L) and lengths (B,), both int32."""
        ids, lengths = self.tokenizer(tf.constant(captions, tf.string))
        return {"caption_ids": ids, "caption_lengths": lengths}


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class MirrorGANTextToImage(keras_nlp.models.TextToImage):
    """Generates images from captions.

    It can't be trained; use `mirrorgan_tf.fit` or the command `train` for that.

    Args:
        backbone: the networks.
        preprocessor: the tokenizer.
    """

    backbone_cls = MirrorGANBackbone
    preprocessor_cls = MirrorGANTextToImagePreprocessor

    def __init__(
        self,
        backbone: MirrorGANBackbone,
        preprocessor: MirrorGANTextToImagePreprocessor,
        **kwargs,
    ):
        self.backbone = backbone
        self.preprocessor = preprocessor
        super().__init__(**kwargs)
        # Compiling with XLA would take longer than generating hundreds of images.
        self.jit_compile = False
        self.built = True

    @property
    def support_negative_prompts(self):
        """MirrorGAN has none."""
        return False

    def get_compile_config(self):
        """None: the constructor compiles, with no settings to save."""

    def call(self, inputs):
        """See `MirrorGANBackbone`."""
        return self.backbone(inputs)

    def generate_step(self, inputs):
        """Images (B, S, S, 3) in [-1, 1] of what `MirrorGANBackbone` takes."""
        return self.backbone(inputs)

    def generate(
        self,
        inputs: str | Sequence[str] | Mapping[str, str | Sequence[str]],
        seed: int | Sequence[int] | None = None,
    ) -> np.ndarray:
        """Generates the images of `MirrorGAN.generate`, up to rounding.

        Args:
            inputs: a caption, N captions, or a dictionary with them as `prompts`.
            seed: an int, one a caption, or None for other images at each call.

        Returns:
            uint8 images: (S, S, 3) for one caption, (N, S, S, 3) for N.

        Raises:
            TypeError: see `MirrorGAN.generate`.
            ValueError: see `MirrorGAN.generate`; or a dictionary has other keys.
        """
        captions = inputs
        if isinstance(inputs, Mapping):
            if inputs.keys() != {"prompts"}:
                raise ValueError(f"inputs: keys {list(inputs)}; expected ['prompts']")
            captions = inputs["prompts"]
        texts, is_single = check_captions(captions)
        seeds = check_seeds(seed, len(texts))
        glam = self.backbone.glam
        noise = seeded_noise(
            tf.constant(seeds, tf.int64), glam.noise_dim + glam.condition_dim
        )
        tokens = self.preprocessor.generate_preprocess(texts)
        text = self.backbone.stem.text_inputs(tf.constant(texts, tf.string), **tokens)
        batch = {
            name: ops.convert_to_tensor(value)
            for name, value in (text | {"noise": noise}).items()
        }
        outputs = [self.make_generate_function()(batch)]
        return self._normalize_generate_outputs(outputs, is_single)
