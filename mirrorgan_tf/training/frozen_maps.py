"""Feature maps of images by the frozen backbones, each computed once a step."""

import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.training.augmentation import shift

__all__ = ["FrozenMaps"]


class FrozenMaps:
    """Computes feature maps and caches them.

    Feature discriminators, the redescription and the DAMSM loss need the same maps of
    the same images. Use a new instance at each step, so that the cache is freed.
    """

    def __init__(
        self,
        config: Config,
        *,
        image_encoder: ImageEncoder,
        stream: Stream,
        shift_numbers: tf.Tensor | None = None,
    ):
        """Takes built networks.

        Args:
            config: for the shift, and whether both networks share one backbone.
            image_encoder: DAMSM's.
            stream: STREAM.
            shift_numbers: (B, 2) random numbers in [0, 1), by which images are moved
                before they are encoded; None: they are not moved.
        """
        self._config = config
        self._shift_numbers = shift_numbers
        self._backbones = {
            "image_encoder": image_encoder.backbone,
            # With the same weights, the maps of one network serve both.
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
            images: maps are cached for each tensor, not for equal values.
        """
        backbone = self._backbones[network]
        for cached_backbone, cached_images, maps in self._computed:
            if cached_backbone is backbone and cached_images is images:
                return maps
        maps = list(backbone.feature_maps(self._view(images)))
        self._computed.append((backbone, images, maps))
        return maps

    def _view(self, images):
        if self._shift_numbers is None:
            return images
        return shift(
            images, self._shift_numbers, self._config.encoders.frozen_view_shift
        )

    def read(self, network: str, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Regions and pooled vector, as the backbone returns them when called."""
        return self._backbones[network].from_maps(self.maps(network, images))
