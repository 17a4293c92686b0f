"""A plot of a few values a row: every value a point, their mean a bar."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from mirrorgan_tf.pictures import font

__all__ = ["MEAN", "POINT", "REAL", "Panel", "dot_plot"]

POINT, MEAN, REAL = (44, 110, 178), (20, 20, 20), (60, 150, 70)
_GRID, _BAND = (222, 222, 222), (246, 246, 246)

_PANEL_PX, _ROW_PX, _HEAD_PX, _FOOT_PX = 250, 30, 28, 24
_GAP_PX, _RADIUS_PX, _PANELS_IN_LINE = 26, 5, 4


@dataclasses.dataclass(frozen=True)
class Panel:
    """One axis.

    Attributes:
        title: above it.
        values: row -> its values, maybe none.
        real: a value that is marked for comparison, if there is one.
    """

    title: str
    values: Mapping[str, Sequence[float]]
    real: float | None = None


def dot_plot(panels: Sequence[Panel], rows: Sequence[str]) -> np.ndarray:
    """Panels side by side, four in a line, that share their rows.

    Args:
        panels: at least one.
        rows: their names, from top to bottom.

    Returns:
        (H, W, 3) uint8. Values are points in `POINT`, means bars in `MEAN`, real
        values lines in `REAL`; nothing else has these colours, but for text.
    """
    names_px = max(round(font().getlength(row)) for row in rows) + 2 * _GAP_PX
    lines = [
        panels[start : start + _PANELS_IN_LINE]
        for start in range(0, len(panels), _PANELS_IN_LINE)
    ]
    line_px = _HEAD_PX + len(rows) * _ROW_PX + _FOOT_PX
    width_px = names_px + len(lines[0]) * (_PANEL_PX + _GAP_PX)
    sheet = Image.new("RGB", (width_px, len(lines) * line_px + _ROW_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(lines):
        top = i * line_px
        for place, row in enumerate(rows):
            middle = top + _HEAD_PX + place * _ROW_PX + _ROW_PX // 2
            right = names_px - _GAP_PX // 2
            draw.text((right, middle), row, fill="black", font=font(), anchor="rm")
        for j, panel in enumerate(line):
            _draw_panel(draw, panel, rows, names_px + j * (_PANEL_PX + _GAP_PX), top)
    _draw_key(draw, names_px, len(lines) * line_px + _ROW_PX // 2)
    return np.asarray(sheet)


def _draw_panel(draw, panel, rows, left, top):
    ticks = _ticks(
        [value for row in rows for value in panel.values.get(row, ())]
        + ([] if panel.real is None else [panel.real])
    )
    low, high = ticks[0], ticks[-1]
    first, last = top + _HEAD_PX, top + _HEAD_PX + len(rows) * _ROW_PX

    def x(value):
        inside = _PANEL_PX - 2 * _GAP_PX
        return left + _GAP_PX + round((value - low) / (high - low) * inside)

    draw.text((left, top + 8), panel.title, fill="black", font=font())
    for place in range(0, len(rows), 2):
        above = first + place * _ROW_PX
        draw.rectangle((left, above, left + _PANEL_PX, above + _ROW_PX), fill=_BAND)
    for tick in ticks:
        draw.line((x(tick), first, x(tick), last), fill=_GRID)
        label = f"{tick:.10g}"
        draw.text((x(tick), last + 4), label, fill="black", font=font(), anchor="mt")
    if panel.real is not None:
        draw.line((x(panel.real), first, x(panel.real), last), fill=REAL, width=2)
    for place, row in enumerate(rows):
        middle = first + place * _ROW_PX + _ROW_PX // 2
        values = panel.values.get(row, ())
        if values:
            _draw_mean(draw, x(sum(values) / len(values)), middle)
        for value in values:
            _draw_point(draw, x(value), middle)


def _draw_key(draw, left, middle):
    _draw_point(draw, left, middle)
    draw.text((left + 12, middle), "a seed", fill="black", font=font(), anchor="lm")
    _draw_mean(draw, left + 80, middle)
    draw.text((left + 88, middle), "mean", fill="black", font=font(), anchor="lm")
    draw.line((left + 150, middle - 9, left + 150, middle + 9), fill=REAL, width=2)
    text = "real images"
    draw.text((left + 158, middle), text, fill="black", font=font(), anchor="lm")


def _draw_mean(draw, x, middle):
    draw.rectangle((x - 1, middle - 11, x + 1, middle + 11), fill=MEAN)


def _draw_point(draw, x, middle):
    box = x - _RADIUS_PX, middle - _RADIUS_PX, x + _RADIUS_PX, middle + _RADIUS_PX
    draw.ellipse(box, fill=POINT, outline="white")


def _ticks(values):
    """Round numbers, three to six, from below the least to above the greatest."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if low == high:
        margin = abs(low) / 10 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]
