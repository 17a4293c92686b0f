"""Draws one birdlet from its attributes."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from mirrorgan_tf.birdlets.outlines import (
    Frame,
    ellipse,
    ribbon,
    smooth,
    teardrop,
)
from mirrorgan_tf.birdlets.palette import Color, sample_color, scaled
from mirrorgan_tf.birdlets.scenery import draw_background, draw_perch

__all__ = ["SIDE_PX", "draw_bird"]

SIDE_PX = 256
# Everything is drawn at twice the size and then averaged, for anti-aliasing.
_SUPERSAMPLING = 2
_CANVAS_PX = SIDE_PX * _SUPERSAMPLING


@dataclasses.dataclass(frozen=True)
class _Shape:
    """Proportions of a kind of bird, in the coordinates of `Frame`."""

    body: tuple[float, float]
    head: tuple[float, float]
    head_radius: float
    leg: float
    tail_lift: float
    forked: bool = False
    neck: tuple[float, float] | None = None
    scale: float = 1.0


_SHAPES = {
    "songbird": _Shape((1.0, 0.76), (0.86, 0.76), 0.46, 0.42, -0.1),
    "wren": _Shape((0.94, 0.9), (0.74, 0.78), 0.48, 0.42, 0.9),
    "swallow": _Shape((1.16, 0.62), (1.12, 0.5), 0.4, 0.3, -0.12, forked=True),
    "duck": _Shape((1.14, 0.74), (1.12, 1.06), 0.4, 0.28, 0.3, neck=(0.5, 0.42)),
    "heron": _Shape(
        (1.02, 0.7), (1.2, 1.62), 0.34, 0.95, -0.3, neck=(0.4, 0.28), scale=0.94
    ),
}
# The unit of the bird's coordinates, as a share of the picture's side.
_UNITS = {"small": 0.144, "medium": 0.176, "large": 0.212}
_BEAK = {"short": 0.34, "medium": 0.72, "long": 1.25}
_TAIL = {"short": 0.3, "long": 1.2}
_TILT = {"standing": (10, 20), "leaning": (-20, -12), "flying": (-2, 10)}


def draw_bird(attributes: Mapping[str, str], rng: np.random.Generator) -> np.ndarray:
    """Draws a bird with these attributes.

    The breast, which has the colour of the body, is near the middle of the picture.

    Args:
        attributes: a value for each of `ATTRIBUTES`.
        rng: random numbers for everything that the attributes do not determine.

    Returns:
        (256, 256, 3) uint8.
    """
    bird = _Bird(attributes, rng)
    image = draw_background(attributes["background"], _CANVAS_PX, rng)
    draw = ImageDraw.Draw(image)
    draw_perch(draw, attributes["perch"], bird.foot_px(), _CANVAS_PX, rng)
    bird.draw_on(draw)
    return _photograph(image, rng)


class _Bird:
    """A bird with its colours, proportions and position, and methods that draw it."""

    def __init__(self, attributes, rng):
        self.attributes = attributes
        self.shape = _SHAPES[attributes["shape"]]
        self.flying = attributes["pose"] == "flying"
        self.colors = {
            part: sample_color(attributes[f"{part}_color"], rng)
            for part in ("body", "wing", "belly", "head", "beak")
        }
        self.leg_color = scaled((196, 132, 72), rng.uniform(0.55, 1.1))
        shift = rng.uniform(-0.02, 0.02, 2)
        size = _UNITS[attributes["size"]] * rng.uniform(0.98, 1.02)
        self.frame = Frame(
            anchor=(0.42 * self.shape.body[0], 0.12 * self.shape.body[1]),
            position_px=tuple((0.5 + shift) * _CANVAS_PX),
            unit_px=size * self.shape.scale * _CANVAS_PX,
            tilt=np.deg2rad(rng.uniform(*_TILT[attributes["pose"]])),
            facing=1 if attributes["direction"] == "right" else -1,
        )
        self.perch_px = rng.uniform(0.87, 0.91) * _CANVAS_PX
        self.feathers = rng.uniform(0, 1, (16, 2))
        self.flap = rng.uniform(-0.12, 0.12)

    def foot_px(self) -> tuple[float, float]:
        """The top of the perch: at the feet, or far below a flying bird."""
        x, y = self.frame(np.array([[0.0, -self.shape.body[1]]]))[0]
        if self.flying:
            return x, self.perch_px
        return x, y + self.shape.leg * self.frame.unit_px

    def draw_on(self, draw):
        """Draws all parts of the bird, from the farthest to the nearest."""
        if self.flying:
            self._raised_wing(draw, far=True)
        else:
            self._legs(draw)
        self._tail(draw)
        self._body(draw)
        self._beak(draw)
        self._head(draw)
        if self.flying:
            self._raised_wing(draw, far=False)
        else:
            self._folded_wing(draw)

    def _fill(self, draw, points, color: Color, *, edge: float | None = 0.62):
        pixels = self.frame(points)
        draw.polygon(pixels, color)
        if edge is not None:
            draw.line([*pixels, pixels[0], pixels[1]], scaled(color, edge), 3)

    def _stroke(self, draw, points, color, width):
        draw.line(self.frame(points), color, max(1, round(width * self.frame.unit_px)))

    def _legs(self, draw):
        foot_x, foot_y = self.foot_px()
        unit = self.frame.unit_px
        for hip_x, tone in ((0.22, 0.8), (-0.08, 1.0)):
            hip = self.frame(np.array([[hip_x, -self.shape.body[1] * 0.8]]))[0]
            x = foot_x + self.frame.facing * hip_x * unit * 0.8
            color, width = scaled(self.leg_color, tone), round(0.085 * unit)
            draw.line([hip, (x, foot_y)], color, width)
            toe = x + self.frame.facing * 0.2 * unit
            draw.line([(x - 0.06 * unit, foot_y), (toe, foot_y)], color, width)

    def _tail(self, draw):
        length = _TAIL[self.attributes["tail"]]
        lift = self.shape.tail_lift * length
        root, rise = -0.72 * self.shape.body[0], 0.12
        end = root - 0.25 - length
        notch = (end + 0.5 * length, rise + lift * 0.6) if self.shape.forked else None
        corners = [
            (root, rise + 0.24),
            (end, rise + lift + 0.2),
            notch or (end - 0.05, rise + lift),
            (end + 0.06, rise + lift - 0.16),
            (root, rise - 0.3),
        ]
        color = scaled(self.colors["body"], 0.9)
        self._fill(draw, np.array(corners), color)
        for part in (0.33, 0.66):
            start, stop = np.array(corners[0]), np.array(corners[1])
            other = np.array(corners[4]) - start, np.array(corners[3]) - stop
            line = [start + part * other[0], stop + part * other[1]]
            if not self.shape.forked:
                self._stroke(draw, np.array(line), scaled(color, 0.75), 0.02)

    def _body(self, draw):
        body, color = self.shape.body, self.colors["body"]
        if self.shape.neck:
            wide, narrow = self.shape.neck
            head = self.shape.head
            path = [
                (0.5 * body[0], 0.25),
                (0.82 * body[0], 0.62),
                (0.5 * (0.82 * body[0] + head[0]) + 0.05, 0.5 * (0.62 + head[1])),
                head,
            ]
            neck = ribbon(path, [wide * 2, wide * 1.5, (wide + narrow), narrow * 1.6])
            self._fill(draw, neck, color)
        self._fill(draw, ellipse((0, 0), body, fullness=0.1), color)
        inner = (body[0] * 0.965, body[1] * 0.955)
        belly = ellipse((0, 0), inner, start=-2.55, stop=-0.3, fullness=0.1)
        top = [(0.62 * body[0], -0.34 * body[1]), (0.0, -0.42 * body[1])]
        self._fill(draw, np.concatenate([belly, top]), self.colors["belly"], edge=None)
        for along, across in self.feathers:
            x = (-0.75 + 1.5 * along) * body[0]
            y = (0.62 - 0.85 * across) * body[1] * np.sqrt(1 - (x / body[0]) ** 2)
            mark = np.array([(x, y), (x - 0.05, y - 0.05), (x - 0.13, y - 0.05)])
            self._stroke(draw, mark, scaled(color, 0.86), 0.02)

    def _head(self, draw):
        (x, y), radius = self.shape.head, self.shape.head_radius
        color = self.colors["head"]
        if self.attributes["crest"] == "crested":
            crest = [
                (x + 0.7 * radius, y + 0.7 * radius),
                (x + 0.1 * radius, y + 2.1 * radius),
                (x - 1.2 * radius, y + 2.6 * radius),
                (x - 0.8 * radius, y + 1.6 * radius),
                (x - 1.9 * radius, y + 1.6 * radius),
                (x - 0.95 * radius, y + 0.1 * radius),
            ]
            self._fill(draw, np.array(crest), color)
        self._fill(draw, ellipse((x, y), (radius * 1.04, radius)), color)
        eye = (x + 0.32 * radius, y + 0.18 * radius)
        for size, tone in ((0.27, (238, 234, 224)), (0.19, (20, 18, 18))):
            # Small heads have eyes of the same size as those of average heads.
            side = max(size * radius, size * 0.38)
            self._fill(draw, ellipse(eye, (side, side)), tone, edge=None)
        glint = (eye[0] + 0.05 * radius, eye[1] + 0.07 * radius)
        self._fill(draw, ellipse(glint, (0.03, 0.03)), (250, 250, 250), edge=None)

    def _beak(self, draw):
        (x, y), radius = self.shape.head, self.shape.head_radius
        length, color = _BEAK[self.attributes["beak_length"]], self.colors["beak"]
        root, tip = x + 0.7 * radius, x + 0.92 * radius + length
        upper = [(root, y + 0.26), (tip, y - 0.14), (root, y - 0.1)]
        lower = [(root, y - 0.07), (tip - 0.06, y - 0.14), (root, y - 0.36)]
        self._fill(draw, np.array(lower), scaled(color, 0.78))
        self._fill(draw, np.array(upper), color)

    def _folded_wing(self, draw):
        body, color = self.shape.body, self.colors["wing"]
        centre = (-0.46 * body[0], 0.1 * body[1])
        radii = (0.66 * body[0], 0.5 * body[1])
        turn = 0.2 + self.flap * 0.3
        self._fill(draw, teardrop(centre, radii, turn), color, edge=0.55)
        for scale, drop in ((0.78, -0.10), (0.6, -0.24)):
            inner = teardrop(
                (centre[0] - 0.16 * body[0], centre[1] + drop * 0.25),
                (radii[0] * scale, radii[1] * scale),
                turn,
            )
            self._stroke(draw, inner[22:], scaled(color, 0.7), 0.025)
        if self.attributes["wing_pattern"] == "barred":
            for bar_x in (0.22, -0.22):
                bar = [
                    (centre[0] + bar_x * body[0], centre[1] + 0.36 * body[1]),
                    (centre[0] + (bar_x - 0.12) * body[0], centre[1]),
                    (centre[0] + (bar_x + 0.02) * body[0], centre[1] - 0.34 * body[1]),
                ]
                self._bar(draw, bar, 0.17)

    def _raised_wing(self, draw, *, far):
        shift, scale, tone = (0.34, 0.86, 0.72) if far else (0.0, 1.0, 1.0)
        lean = self.flap

        def to_wing(points):
            points = np.asarray(points, float)
            rise = points[:, 1] - 0.4
            return np.stack(
                [points[:, 0] + shift + lean * rise, 0.4 + rise * scale], axis=1
            )

        color = scaled(self.colors["wing"], tone)
        wing = smooth(
            [
                (0.16, 0.36),
                (0.2, 0.95),
                (-0.2, 1.6),
                (-0.85, 1.92),
                (-0.9, 1.5),
                (-0.82, 1.0),
                (-0.66, 0.42),
                (-0.25, 0.24),
            ]
        )
        self._fill(draw, to_wing(wing), color, edge=0.55)
        for tip in ((-0.5, 1.55), (-0.68, 1.3), (-0.68, 0.95)):
            line = [(-0.2, 0.55), (0.5 * (tip[0] - 0.1), 0.5 * (tip[1] + 0.6)), tip]
            self._stroke(draw, to_wing(line), scaled(color, 0.7), 0.025)
        if self.attributes["wing_pattern"] == "barred":
            for height in (0.75, 1.15):
                bar = [
                    (0.14 - 0.22 * (height - 0.7), height),
                    (-0.3, height - 0.1),
                    (-0.76, height + 0.02),
                ]
                self._bar(draw, to_wing(bar), 0.18)

    def _bar(self, draw, points, width):
        light = self.attributes["wing_color"] in ("white", "yellow")
        tone = (40, 38, 40) if light else (240, 238, 228)
        self._stroke(draw, np.asarray(points), tone, width)


def _photograph(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Reduces to the final size; adds uneven light and sensor noise."""
    picture = np.asarray(image.reduce(_SUPERSAMPLING), np.float32)
    slope = rng.uniform(-0.1, 0.1, 2)
    position = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)
    # Light comes from above and a little from one side.
    light = 1 - 0.05 * position[:, None] + slope[0] * position[None] + slope[1] * 0.3
    strength = np.float32(rng.uniform(1.5, 4.0))
    noise = rng.standard_normal(picture.shape, np.float32) * strength
    picture = picture * light.astype(np.float32)[..., None] + noise
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)
