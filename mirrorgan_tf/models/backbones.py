"""Image networks that the encoders stand on, by name."""

import keras
from keras import layers, ops

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.models.blocks import batch_normalization, conv

__all__ = ["ImagenetBackbone", "SmallBackbone", "build_backbone"]

# name: network, its input's side in px, region features' layer
_IMAGENET = {
    "inception_v3": ("InceptionV3", 299, "mixed7"),
    "resnet152": ("ResNet152", 224, "conv4_block36_out"),
}


def build_backbone(
    name: str, weights: str = "none", width: int = 32, dtype=None
) -> layers.Layer:
    """Makes a backbone: images (B, H, W, 3) in [-1, 1] to regions and a code.

    Calling it gives a feature map (B, h, w, C) and a pooled vector (B, C'). Images
    of any size go in; it resizes them.

    Args:
        name: "small" is trained here; "inception_v3" and "resnet152" stay frozen.
        weights: "imagenet", "none" or the path of a Keras weights file.
        width: first layer's channels of "small".
        dtype: policy; none is the global one.

    Raises:
        ValueError: the name is unknown.
        UserError: the weights cannot be had.
    """
    if name == "small":
        if weights not in ("none", "imagenet"):
            raise UserError(f"backbone small has no weights file, but got {weights}")
        return SmallBackbone(width, dtype=dtype)
    if name in _IMAGENET:
        return ImagenetBackbone(name, weights, dtype=dtype)
    raise ValueError(f"name={name!r}; expected small, {', '.join(_IMAGENET)}")


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class SmallBackbone(layers.Layer):
    """A small trainable CNN for images of 64 px; others are resized to that.

    Feature map (B, 8, 8, 4·width), code (B, 128·width): the last map (4, 4, 8·width)
    as it lies, since where a colour is tells which part of a bird has it.

    Args:
        width: channels of the first layer.
    """

    size = 64

    def __init__(self, width: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.region_dim = 4 * width
        self.pooled_dim = 4 * 4 * 8 * width
        self.convs = [
            conv(width * 2**i, 3, strides=2, dtype=self.dtype_policy) for i in range(4)
        ]
        self.norms = [batch_normalization(dtype=self.dtype_policy) for _ in range(4)]

    def build(self, input_shape):
        """Makes the variables."""
        channels = input_shape[-1]
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            convolution.build((None, None, None, channels))
            channels = convolution.filters
            norm.build((None, None, None, channels))
        self.built = True

    def call(self, images, training=False):
        """Images (B, H, W, 3) to feature map and pooled vector."""
        x = _resize(images, self.size)
        maps = []
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            x = ops.relu(norm(convolution(x), training=training))
            maps.append(x)
        return maps[2], ops.reshape(maps[3], (-1, self.pooled_dim))

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {"width": self.width}


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ImagenetBackbone(layers.Layer):
    """A frozen keras.applications network with its own preprocessing.

    Inception v3: feature map (B, 17, 17, 768), torchvision's Mixed_6e, and pooled
    (B, 2048). ResNet-152: (B, 14, 14, 1024) and (B, 2048). The authors feed their
    ResNet with images in [-1, 1]; we give it what it was trained on.

    A saved model holds the weights, so its config asks for none.

    Args:
        architecture: "inception_v3" or "resnet152".
        weights: "imagenet", "none" or the path of a Keras weights file.

    Raises:
        UserError: the weights cannot be had.
    """

    def __init__(self, architecture: str, weights: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.architecture = architecture
        class_name, self.size, region_layer = _IMAGENET[architecture]
        network = getattr(keras.applications, class_name)(
            include_top=False,
            weights=None,
            input_shape=(self.size, self.size, 3),
        )
        _load_weights(network, architecture, class_name, weights)
        self.network = keras.Model(
            network.input,
            [
                network.get_layer(region_layer).output,
                layers.GlobalAveragePooling2D()(network.output),
            ],
        )
        self.network.trainable = False
        self.region_dim, self.pooled_dim = (
            shape[-1] for shape in self.network.output_shape
        )

    def build(self, input_shape):
        """Nothing: the network was made with its variables."""
        self.built = True

    def call(self, images, training=False):
        """Images (B, H, W, 3) to feature map and pooled vector."""
        images = _resize(images, self.size)
        if self.architecture == "resnet152":
            # From [-1, 1] to 0..255; Inception takes [-1, 1] as it is.
            images = keras.applications.resnet.preprocess_input((images + 1.0) * 127.5)
        # Frozen: batch norm keeps to its own statistics even in training.
        return tuple(self.network(images, training=False))

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "architecture": self.architecture,
            "weights": "none",
        }


def _load_weights(network, architecture, class_name, weights):
    if weights == "none":
        return
    try:
        if weights == "imagenet":
            # The same network again, only to have its weights fetched and cached.
            pretrained = getattr(keras.applications, class_name)(
                include_top=False,
                weights="imagenet",
                input_shape=network.input_shape[1:],
            )
            network.set_weights(pretrained.get_weights())
        else:
            network.load_weights(weights)
    except Exception as error:
        # Keras raises anything here, from bare Exception to h5py's errors.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"cannot get the weights {weights} of {architecture}: {reason}; give the "
            "path of a Keras weights file without the top layers, or none"
        ) from error


def _resize(images, size):
    height, width = images.shape[1:3]
    if (height, width) == (size, size):
        return images
    if height == width and height % size == 0:
        # A mean of blocks: bilinear resizing would skip pixels.
        return ops.average_pool(images, height // size, height // size)
    return ops.image.resize(images, (size, size), interpolation="bilinear")
