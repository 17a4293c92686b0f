"""One image of an index outside of a graph: its bytes, its pixels, or what is wrong.

All commands use it, so that they agree about which images are bad.
"""

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.decoding import BadImageError, decode_bytes
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.shards import read_content

__all__ = ["load_encoded", "load_image"]


def load_encoded(index: CaptionedImages, row: int) -> bytes:
    """The encoded image of a row.

    Raises:
        BadImageError: it can't be read.
    """
    try:
        return read_content(index, row)
    except tf.errors.DataLossError:
        raise BadImageError("its record is damaged; pack the set again") from None
    except tf.errors.OpError as error:
        raise BadImageError(f"can't be read ({error.message})") from None
    except OSError as error:
        raise BadImageError(f"can't be read ({error.strerror})") from None


def load_image(index: CaptionedImages, row: int) -> np.ndarray:
    """The image of a row, (height, width, 3) uint8, decoded as training decodes it.

    Raises:
        BadImageError: it can't be read or decoded.
    """
    return decode_bytes(load_encoded(index, row))
