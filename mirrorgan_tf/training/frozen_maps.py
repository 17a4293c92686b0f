"""Feature maps of images by the frozen backbones, each computed once a step."""

import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stream import Stream

__all__ = ["FrozenMaps"]


class FrozenMaps:
    """Computes feature maps and remembers them for as long as it lives.

    Feature discriminators, the redescription and the DAMSM loss need the same maps of
    the same images. Make one of these a step, so that no maps outlive it.
    """

    def __init__(self, config: Config, *, image_encoder: ImageEncoder, stream: Stream):
        """Takes built networks."""
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
        maps = list(backbone.feature_maps(images))
        self._computed.append((backbone, images, maps))
        return maps

    def read(self, network: str, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Regions and pooled vector, as the backbone returns them when called."""
        return self._backbones[network].from_maps(self.maps(network, images))
