"""Draws backgrounds, and the perches that birds stand on."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mirrorgan_tf.birdlets.palette import Color, scaled

__all__ = ["draw_background", "draw_perch"]

# Backgrounds are drawn at this side, blurred and enlarged, so that they look out of
# focus and have no jagged edges.
_SIDE = 128


def draw_background(name: str, side_px: int, rng: np.random.Generator) -> Image.Image:
    """An RGB picture of `sky`, `water`, `leaves`, `meadow` or `sunset`."""
    top, bottom, details = _BACKGROUNDS[name]
    light = rng.uniform(0.93, 1.05)
    column = Image.new("RGB", (1, 2))
    column.putpixel((0, 0), scaled(top, light))
    column.putpixel((0, 1), scaled(bottom, light))
    image = column.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    details(ImageDraw.Draw(image), rng)
    soft = image.filter(ImageFilter.BoxBlur(0.8))
    return soft.resize((side_px, side_px), Image.Resampling.BICUBIC)


def _sky(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 4))):
        x, y = rng.uniform(0, _SIDE), rng.uniform(5, _SIDE * 0.8)
        for _ in range(5):
            _blob(draw, x, y, rng.uniform(8, 15), rng.uniform(3, 6), (226, 238, 247))
            x, y = x + rng.uniform(4, 10), y + rng.uniform(-3, 3)


def _water(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for y in range(3, _SIDE, 5):
        for _ in range(2):
            x, width = rng.uniform(-10, _SIDE), rng.uniform(8, 30)
            tone = (108, 176, 182) if rng.uniform() < 0.6 else (48, 112, 128)
            draw.line([(x, y), (x + width, y + rng.uniform(-1, 1))], tone, 1)


def _leaves(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for _ in range(70):
        x, y = rng.uniform(0, _SIDE, 2)
        along = rng.uniform(6, 12) * np.array([rng.uniform(-1, 1), rng.uniform(0.4, 1)])
        side = np.array([-along[1], along[0]]) * 0.28
        middle = np.array([x, y])
        corners = [middle - along, middle + side, middle + along, middle - side]
        tone = scaled((62, 104, 58), rng.uniform(0.6, 1.5))
        draw.polygon([tuple(corner.tolist()) for corner in corners], tone)


def _meadow(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for _ in range(90):
        x, y = rng.uniform(0, _SIDE), rng.uniform(_SIDE * 0.25, _SIDE * 1.1)
        tip = (x + rng.uniform(-4, 4), y - rng.uniform(8, 20))
        draw.line([(x, y), tip], scaled((168, 182, 92), rng.uniform(0.75, 1.15)), 1)


def _sunset(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    x, y = rng.uniform(15, _SIDE - 15), rng.uniform(55, 90)
    for radius, tone in ((17, (243, 190, 150)), (11, (252, 226, 176))):
        _blob(draw, x, y, radius, radius, tone)
    for _ in range(4):
        tone = scaled((176, 120, 142), rng.uniform(0.9, 1.1))
        _blob(
            draw,
            rng.uniform(0, _SIDE),
            rng.uniform(5, 60),
            rng.uniform(18, 35),
            rng.uniform(1, 3),
            tone,
        )


_Details = Callable[[ImageDraw.ImageDraw, np.random.Generator], None]
_BACKGROUNDS: dict[str, tuple[Color, Color, _Details]] = {
    "sky": ((128, 180, 222), (196, 222, 240), _sky),
    "water": ((62, 132, 150), (82, 152, 162), _water),
    "leaves": ((44, 78, 46), (54, 88, 50), _leaves),
    "meadow": ((202, 212, 146), (146, 166, 78), _meadow),
    "sunset": ((148, 104, 140), (236, 162, 120), _sunset),
}


def draw_perch(
    draw: ImageDraw.ImageDraw,
    name: str,
    foot: tuple[float, float],
    side_px: int,
    rng: np.random.Generator,
) -> None:
    """Draws a `branch`, `rock` or `post` whose top is at `foot`, in pixels."""
    _PERCHES[name](draw, foot, side_px, rng)


def _branch(draw, foot, side, rng):
    wood = scaled((104, 76, 56), rng.uniform(0.85, 1.15))
    slope, thick = rng.uniform(-0.07, 0.07), side * rng.uniform(0.022, 0.03)
    left, right = foot[1] - slope * foot[0], foot[1] + slope * (side - foot[0])
    middle = thick * 0.8
    draw.polygon(
        [
            (0, left + middle - thick),
            (side, right + middle - thick * 0.6),
            (side, right + middle + thick * 0.6),
            (0, left + middle + thick),
        ],
        wood,
    )
    draw.line(
        [(0, left + middle + thick * 0.6), (side, right + middle + thick * 0.3)],
        scaled(wood, 0.75),
        max(1, side // 150),
    )
    for x in rng.uniform(0.05, 0.95, 5) * side:
        y = foot[1] + slope * (x - foot[0]) + middle
        tip = np.array([rng.uniform(-1, 1), rng.choice([-0.8, 0.9])]) * side * 0.055
        across = np.array([-tip[1], tip[0]]) * 0.3
        root = np.array([x, y])
        corners = [root, root + tip / 2 + across, root + tip, root + tip / 2 - across]
        tone = scaled((96, 140, 66), rng.uniform(0.8, 1.2))
        draw.polygon([tuple(corner.tolist()) for corner in corners], tone)


def _rock(draw, foot, side, rng):
    stone = scaled((134, 128, 122), rng.uniform(0.85, 1.12))
    width = side * rng.uniform(0.30, 0.40)
    bumps = rng.uniform(0, 0.02, 4) * side
    x, y = foot
    top = [
        (x - width, side),
        (x - width * 0.8, y + side * 0.07 + bumps[0]),
        (x - width * 0.35, y + bumps[1] * 0.4),
        (x + width * 0.3, y),
        (x + width * 0.75, y + side * 0.06 + bumps[2]),
        (x + width, side),
    ]
    draw.polygon(top, stone)
    shade = [
        (x + width * 0.3, y),
        (x + width * 0.75, y + side * 0.06 + bumps[2]),
        (x + width, side),
        (x + width * 0.2, side),
        (x + width * 0.4, y + side * 0.08),
    ]
    draw.polygon(shade, scaled(stone, 0.82))


def _post(draw, foot, side, rng):
    wood = scaled((150, 122, 92), rng.uniform(0.85, 1.12))
    x, y = foot
    half = side * rng.uniform(0.055, 0.075)
    draw.rectangle([x - half, y, x + half, side], wood)
    draw.rectangle([x + half * 0.35, y, x + half, side], scaled(wood, 0.84))
    draw.rectangle(
        [x - half * 1.15, y, x + half * 1.15, y + side * 0.02], scaled(wood, 1.12)
    )


def _blob(draw, x, y, half_width, half_height, tone):
    draw.ellipse(
        [x - half_width, y - half_height, x + half_width, y + half_height], tone
    )


_PERCHES = {"branch": _branch, "rock": _rock, "post": _post}
