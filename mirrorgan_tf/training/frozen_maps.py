"""Feature maps of images by the frozen backbones, each computed once a step."""

import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.training.augmentation import shift

__all__ = ["FrozenMaps"]


class FrozenMaps:
    """Computes feature maps and remembers them for as long as it lives.

    Feature discriminators, the redescription and the DAMSM loss need the same maps of
    the same images. Make one of these a step, so that no maps outlive it.
    """

    def __init__(
        self,
        config: Config,
        *,
        image_encoder: ImageEncoder,
        stream: Stream,
        shift_draws: tf.Tensor | None = None,
    ):
        """Takes built networks.

        Args:
            config: for the shift, and whether both networks are one.
            image_encoder: DAMSM's.
            stream: STREAM.
            shift_draws: (B, 2) in [0, 1), by which images are moved before a network
                sees them; none: they are not.
        """
        self._config = config
        self._shift_draws = shift_draws
        self._backbones = {
            "image_encoder": image_encoder.backbone,
            # Where the weights are the same, one network's maps serve both.
            "stream_encoder": image_encoder.backbone
            if config.one_frozen_backbone
            else stream.encoder.backbone,
        }
        self._computed = []

    def map_shapes(self, network: str) -> list[tuple[int, int]]:
        """Side in px and channels of a network's maps, the largest first."""
        return self._backbones[network].map_shapes

    def maps(self, network: str, images: tf.Tensor) -> list[tf.Tensor]:
        """Maps of images (B, s, s, 3) in [-1, 1], the largest first.

        Args:
            network: image_encoder or stream_encoder.
            images: the very same tensor gives the very same maps.
        """
        backbone = self._backbones[network]
        for known_backbone, known_images, maps in self._computed:
            if known_backbone is backbone and known_images is images:
                return maps
        maps = list(backbone.feature_maps(self._view(images)))
        self._computed.append((backbone, images, maps))
        return maps

    def _view(self, images):
        if self._shift_draws is None:
            return images
        return shift(images, self._shift_draws, self._config.encoders.frozen_view_shift)

    def read(self, network: str, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Regions and pooled vector, as the backbone returns them when called."""
        return self._backbones[network].from_maps(self.maps(network, images))
