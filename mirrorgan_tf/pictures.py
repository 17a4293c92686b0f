"""Grids of images with captions, attention maps, and writing of image files."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from mirrorgan_tf.errors import UserError

__all__ = [
    "attention_sheet",
    "caption_grid",
    "check_image_path",
    "heat_map",
    "save_image",
    "stack_sheets",
]

_JPEG = {"format": "JPEG", "quality": 95, "subsampling": 0}
# Arguments of Pillow's `save` by the ending of the file's name.
_FORMATS = {
    ".png": {"format": "PNG"},
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": {"format": "WEBP", "quality": 95},
    ".bmp": {"format": "BMP"},
    ".tif": {"format": "TIFF"},
    ".tiff": {"format": "TIFF"},
}
_MARGIN_PX = 6
_FONT_PX = 12
_LINE_PX = 15


def caption_grid(
    rows: Sequence[Sequence[np.ndarray]] | np.ndarray,
    captions: Sequence[str],
    *,
    columns: int = 4,
    image_px: int = 160,
) -> np.ndarray:
    """A grid of cells with images and a text below them.

    Args:
        rows: for each cell an image (H, W, 3) uint8, or several images, which are
            placed side by side.
        captions: a text for each cell; line breaks are kept.
        columns: cells in a row.
        image_px: side of each image in the picture.

    Returns:
        (H, W, 3) uint8.
    """
    cells = [
        [cell] if isinstance(cell, np.ndarray) and cell.ndim == 3 else list(cell)
        for cell in rows
    ]
    columns = min(columns, max(len(cells), 1))
    width_px = max((len(cell) for cell in cells), default=1) * (image_px + _MARGIN_PX)
    texts = [_wrap(caption, width_px - _MARGIN_PX) for caption in captions]
    lines = max((text.count("\n") + 1 for text in texts), default=1)
    height_px = image_px + lines * _LINE_PX + 2 * _MARGIN_PX
    grid_rows = -(-len(cells) // columns)
    sheet = Image.new(
        "RGB",
        (columns * width_px + _MARGIN_PX, max(grid_rows, 1) * height_px + _MARGIN_PX),
        "white",
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_PX)
    for position, (cell, text) in enumerate(zip(cells, texts, strict=True)):
        left = _MARGIN_PX + position % columns * width_px
        top = _MARGIN_PX + position // columns * height_px
        for i, image in enumerate(cell):
            sheet.paste(
                _scaled(image, image_px), (left + i * (image_px + _MARGIN_PX), top)
            )
        draw.multiline_text(
            (left, top + image_px + 3), text, fill="black", font=font, spacing=3
        )
    return np.asarray(sheet)


def attention_sheet(
    image: np.ndarray,
    attention: np.ndarray,
    words: Sequence[str],
    *,
    image_px: int = 128,
) -> np.ndarray:
    """A grid of an image and, for each word, the attention map over the image.

    Args:
        image: (H, W, 3) uint8.
        attention: (h, w, L), with at least as many maps as words. Each map is scaled
            by its maximum, which is printed below.
        words: the caption's words.
        image_px: side of each image in the picture.
    """
    cells, labels = [image], ["image"]
    base = np.asarray(_scaled(image, image_px), np.float32)
    for i, word in enumerate(words):
        weights = attention[..., i]
        peak = float(weights.max())
        heat = heat_map(weights / max(peak, 1e-9))
        heat = np.asarray(_scaled(heat, image_px, smooth=True), np.float32)
        cells.append((0.45 * base + 0.55 * heat).astype(np.uint8))
        labels.append(f"{word}\nmax {peak:.2f}")
    return caption_grid(cells, labels, columns=8, image_px=image_px)


def heat_map(values: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1] to colours (H, W, 3) uint8: black, red, yellow, white."""
    values = np.clip(values, 0, 1)[..., None]
    return (np.clip(values * 3 - np.arange(3), 0, 1) * 255).astype(np.uint8)


def stack_sheets(sheets: Sequence[np.ndarray]) -> np.ndarray:
    """Places sheets (H, W, 3) uint8 below each other, on white."""
    width = max(sheet.shape[1] for sheet in sheets)
    pads = [((0, 0), (0, width - sheet.shape[1]), (0, 0)) for sheet in sheets]
    return np.concatenate(
        [
            np.pad(sheet, pad, constant_values=255)
            for sheet, pad in zip(sheets, pads, strict=True)
        ]
    )


def check_image_path(flag: str, path: str | Path) -> None:
    """Raises UserError unless `save_image` knows the format of the path's ending."""
    suffix = Path(path).suffix.lower()
    if suffix and suffix not in _FORMATS:
        raise UserError(
            f"--{flag}={path}: images are not written as {suffix}; end the name in "
            f"{', '.join(_FORMATS)}"
        )


def save_image(
    image: np.ndarray, path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes an image in the format that the path's ending names; makes the folder.

    Args:
        image: (H, W, 3) uint8.
        path: its ending is one that `check_image_path` accepts; without an ending the
            format is PNG.
        metadata: keyword -> text; written to PNG files only.

    Raises:
        OSError: the file can't be written, or the image is too large for the format.
    """
    content = io.BytesIO()
    options = dict(_FORMATS[path.suffix.lower() or ".png"])
    if metadata and options["format"] == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        for keyword, text in metadata.items():
            options["pnginfo"].add_itxt(keyword, text)
    try:
        Image.fromarray(image).save(content, **options)
    except ValueError as error:
        # Pillow raises ValueError for images that are too large for a format.
        raise OSError(str(error)) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())


def _scaled(image, side_px, *, smooth=False):
    # The pixels of small images stay visible.
    resample = (
        Image.Resampling.BICUBIC
        if smooth or image.shape[0] > side_px
        else Image.Resampling.NEAREST
    )
    return Image.fromarray(image).resize((side_px, side_px), resample)


def _wrap(caption, width_px):
    columns = max(8, int(width_px / (_FONT_PX * 0.5)))
    return "\n".join(
        "\n".join(textwrap.wrap(line, columns)) for line in caption.split("\n")
    )
