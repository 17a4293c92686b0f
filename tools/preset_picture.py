"""`python -m tools.preset_picture birdlets_64 docs/birdlets.png`.

Generates images for the first 16 validation captions of birdlets, without selection,
each beside the real birdlet of its caption.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mirrorgan_tf.birdlets.dataset import draw_example, example
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.pictures import caption_grid, save_image

_IMAGES, _CAPTIONS_EACH = 16, 5
_LOAD_PX, _CROP_PX = 76, 64


def main(preset: str, out: str) -> None:
    """Writes the grid."""
    model = MirrorGAN.from_preset(preset)
    seed = model.config.data.seed
    captions = [
        example(seed, "val", i, _CAPTIONS_EACH)[1][0].text for i in range(_IMAGES)
    ]
    generated = model.generate(captions, seed=range(_IMAGES))
    real = [_real_image(seed, i) for i in range(_IMAGES)]
    pairs = list(zip(generated, real, strict=True))
    save_image(caption_grid(pairs, captions), Path(out))


def _real_image(seed, index):
    """A real image as evaluations use it: reduced in size, its centre cut out."""
    image = Image.fromarray(draw_example(seed, "val", index))
    image = image.resize((_LOAD_PX, _LOAD_PX), Image.Resampling.BILINEAR)
    corner = (_LOAD_PX - _CROP_PX) // 2
    box = (corner, corner, corner + _CROP_PX, corner + _CROP_PX)
    return np.asarray(image.crop(box))


if __name__ == "__main__":
    main(*sys.argv[1:])
