"""Sets of images that an evaluation compares, and the real images among them."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, ImageFilter

from mirrorgan_tf.data.bad_examples import data_errors
from mirrorgan_tf.data.pipeline import make_dataset
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["ImageSet", "blurred", "real_images"]


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """N images, read batch by batch.

    Attributes:
        name: name of the folder of their features.
        count: N.
        batches: (size, start) to (B, S, S, 3) uint8 from image `start` on, `size` at
            a time.
    """

    name: str
    count: int
    batches: Callable[[int, int], Iterable[np.ndarray]]

    def first(self, count: int) -> np.ndarray:
        """The first `count` images, or all if there are fewer, as one array."""
        parts, missing = [], count
        for images in self.batches(32, 0):
            parts.append(images[:missing])
            missing -= len(parts[-1])
            if not missing:
                break
        return np.concatenate(parts)


def real_images(name: str, index: CaptionedImages, size_px: int) -> ImageSet:
    """Real images, cropped at their centre as for validation.

    Args:
        name: name of the set.
        index: the images.
        size_px: side of the crop.
    """
    # The pipeline tokenizes captions too, which are not used here.
    tokenizer = CaptionTokenizer(Vocabulary(()), 1)

    def batches(size, start):
        dataset = make_dataset(
            index,
            tokenizer,
            sizes=(size_px,),
            batch_size=size,
            seed=0,
            training=False,
            start_step=start // size,
            max_words=1,
        )
        with data_errors():
            for batch in dataset:
                yield to_uint8(batch["images"][-1]).numpy()

    return ImageSet(name, len(index), batches)


def blurred(images: ImageSet) -> ImageSet:
    """The same images, blurred by a Gaussian of 1/64 of their side."""

    def batches(size, start):
        for batch in images.batches(size, start):
            blur = ImageFilter.GaussianBlur(batch.shape[1] / 64)
            yield np.stack(
                [np.asarray(Image.fromarray(image).filter(blur)) for image in batch]
            )

    return ImageSet(f"{images.name}-blurred", images.count, batches)
