"""What images are as stored, and which can't be decoded."""

import concurrent.futures
import dataclasses
import os
import warnings
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO

import tensorflow as tf
from PIL import Image

from mirrorgan_tf.data.decoding import decode_image
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.shards import read_content

__all__ = ["ImageFacts", "inspect_images"]

_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """One image.

    Attributes:
        width: px, as stored; 0 if unknown.
        height: likewise.
        kind: format and Pillow's mode, such as "JPEG CMYK".
        turned: EXIF says that it is not upright as stored.
        size: bytes as stored.
        checksum: CRC-32 of these bytes.
        problem: why it can't be decoded; "" if it can.
    """

    width: int = 0
    height: int = 0
    kind: str = ""
    turned: bool = False
    size: int = 0
    checksum: int = 0
    problem: str = ""


def inspect_images(
    index: CaptionedImages,
    rows: Sequence[int],
    progress: Callable[[int], None] | None = None,
) -> list[ImageFacts]:
    """Decodes images as training does, on all cores.

    Args:
        index: of the images.
        rows: N of them.
        progress: called with the number of images done, after each.

    Returns:
        N facts, in order.
    """
    decode = tf.function(
        lambda content: tf.size(decode_image(content)),
        input_signature=[tf.TensorSpec((), tf.string)],
        autograph=False,
    )
    facts = []
    threads = 2 * (os.cpu_count() or 1)
    with (
        warnings.catch_warnings(),
        concurrent.futures.ThreadPoolExecutor(threads) as pool,
    ):
        # Pillow's, on files that are odd but fine.
        warnings.simplefilter("ignore")
        try:
            for fact in pool.map(lambda row: _inspect(index, row, decode), rows):
                facts.append(fact)
                if progress:
                    progress(len(facts))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return facts


def _inspect(index, row, decode) -> ImageFacts:
    try:
        content = read_content(index, row)
    except OSError as error:
        return ImageFacts(problem=f"can't be read ({error.strerror})")
    except tf.errors.OpError:
        return ImageFacts(problem="can't be read (its record is damaged)")
    facts = _read_head(content)
    try:
        decode(content)
    except tf.errors.OpError:
        why = f"is damaged, or {facts.kind} is not read"
        return dataclasses.replace(facts, problem=facts.problem or why)
    # What only Pillow can't read does no harm.
    return dataclasses.replace(facts, problem="")


def _read_head(content):
    if not content:
        return ImageFacts(problem="is empty")
    facts = ImageFacts(size=len(content), checksum=zlib.crc32(content))
    try:
        with Image.open(BytesIO(content)) as image:
            # `getexif` would decode a whole PNG.
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
            return dataclasses.replace(
                facts,
                width=image.width,
                height=image.height,
                kind=f"{image.format} {image.mode}",
                turned=exif.get(_ORIENTATION, 1) in range(2, 9),
            )
    # Pillow's formats raise whatever they like.
    except Exception:
        return dataclasses.replace(facts, problem="is no image")
