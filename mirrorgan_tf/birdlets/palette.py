"""Colours by name: separate ranges in HSV from which they are sampled."""

import colorsys

import numpy as np

__all__ = ["COLOR_RANGES", "Color", "sample_color", "scaled"]

Color = tuple[int, int, int]

# Hue in degrees, where -6 is the same as 354; saturation and value in [0, 1].
COLOR_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "red": ((-6, 4), (0.85, 0.98), (0.78, 0.92)),
    "orange": ((24, 31), (0.88, 1.0), (0.94, 1.0)),
    "yellow": ((50, 56), (0.80, 0.95), (0.94, 1.0)),
    "green": ((108, 136), (0.65, 0.85), (0.50, 0.68)),
    "blue": ((212, 228), (0.75, 0.92), (0.72, 0.92)),
    "purple": ((272, 286), (0.60, 0.78), (0.52, 0.68)),
    "pink": ((328, 342), (0.34, 0.48), (0.95, 1.0)),
    "brown": ((18, 27), (0.62, 0.76), (0.36, 0.46)),
    "black": ((200, 260), (0.0, 0.12), (0.07, 0.14)),
    "white": ((30, 60), (0.0, 0.05), (0.93, 1.0)),
    "gray": ((200, 230), (0.0, 0.08), (0.46, 0.56)),
}


def sample_color(name: str, rng: np.random.Generator) -> Color:
    """An RGB colour (0 to 255) of the range with this name."""
    hue, saturation, value = (
        rng.uniform(low, high) for low, high in COLOR_RANGES[name]
    )
    rgb = colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
    return tuple(round(channel * 255) for channel in rgb)


def scaled(color: Color, factor: float) -> Color:
    """The colour, brighter or darker by a factor and clipped to 0 to 255."""
    return tuple(min(255, max(0, round(channel * factor))) for channel in color)
