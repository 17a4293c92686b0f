"""Finds the size, format and problems of encoded images."""

import concurrent.futures
import dataclasses
import warnings
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO

from PIL import Image

from mirrorgan_tf.cpu import number_of_cores
from mirrorgan_tf.data.decoding import BadImageError, decode_bytes, load_encoded
from mirrorgan_tf.data.records import CaptionedImages

__all__ = ["ImageFacts", "inspect_images"]


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """Properties of one image.

    Attributes:
        width: px, as stored; 0 if unknown.
        height: likewise.
        kind: format and Pillow's mode, such as "JPEG CMYK".
        size: bytes as stored.
        checksum: CRC-32 of these bytes.
        problem: why it can't be decoded; "" if it can.
    """

    width: int = 0
    height: int = 0
    kind: str = ""
    size: int = 0
    checksum: int = 0
    problem: str = ""


def inspect_images(
    index: CaptionedImages,
    rows: Sequence[int],
    progress: Callable[[int], None] = lambda done: None,
) -> list[ImageFacts]:
    """Decodes images as training does, on all cores.

    Args:
        index: the data set.
        rows: N rows of the index.
        progress: called after each image with the number of images so far.

    Returns:
        N facts, in order.
    """
    facts = []
    threads = 2 * number_of_cores()
    with (
        warnings.catch_warnings(),
        concurrent.futures.ThreadPoolExecutor(threads) as pool,
    ):
        # Pillow also warns about unusual files that it can read.
        warnings.simplefilter("ignore")
        try:
            for fact in pool.map(lambda row: _inspect(index, row), rows):
                facts.append(fact)
                progress(len(facts))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return facts


def _inspect(index, row) -> ImageFacts:
    try:
        content = load_encoded(index, row)
    except BadImageError as error:
        return ImageFacts(problem=str(error))
    facts = _read_header(content)
    try:
        decode_bytes(content)
    except BadImageError as error:
        return dataclasses.replace(facts, problem=str(error))
    return facts


def _read_header(content):
    facts = ImageFacts(size=len(content), checksum=zlib.crc32(content))
    try:
        with Image.open(BytesIO(content)) as image:
            return dataclasses.replace(
                facts,
                width=image.width,
                height=image.height,
                kind=f"{image.format} {image.mode}",
            )
    # Pillow can raise any exception. TensorFlow may still decode the image.
    except Exception:
        return facts
