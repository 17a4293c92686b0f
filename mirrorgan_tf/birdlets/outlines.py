"""Outlines as arrays of points, (N, 2) float, and the frame they are drawn in."""

import dataclasses

import numpy as np

__all__ = ["Frame", "ellipse", "ribbon", "smooth", "teardrop"]

_POINTS = 40


@dataclasses.dataclass(frozen=True)
class Frame:
    """Position, size and direction of a bird on the canvas.

    In a bird's own coordinates, x points forward, y points up, and 1 is half the length
    of a songbird.

    Attributes:
        anchor: a point in the bird's coordinates.
        position_px: where that point is on the canvas.
        unit_px: length of 1 in the bird's coordinates.
        tilt: in radians; positive values lift the head.
        facing: 1: to the right; -1: to the left.
    """

    anchor: tuple[float, float]
    position_px: tuple[float, float]
    unit_px: float
    tilt: float
    facing: int

    def __call__(self, points: np.ndarray) -> list[tuple[float, float]]:
        """Bird coordinates to canvas pixels, as Pillow takes them."""
        x, y = (np.asarray(points, float) - self.anchor).T * self.unit_px
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        left = self.position_px[0] + self.facing * (cos * x - sin * y)
        top = self.position_px[1] - (sin * x + cos * y)
        return list(zip(left.tolist(), top.tolist(), strict=True))


def ellipse(
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    start: float = 0.0,
    stop: float = 2 * np.pi,
    fullness: float = 0.0,
) -> np.ndarray:
    """An ellipse or an arc of it; `fullness` above 0 widens its front like an egg's."""
    angle = np.linspace(start, stop, _POINTS)
    x = centre[0] + radii[0] * np.cos(angle)
    y = centre[1] + radii[1] * np.sin(angle) * (1 + fullness * np.cos(angle))
    return np.stack([x, y], axis=1)


def teardrop(
    centre: tuple[float, float], radii: tuple[float, float], turn: float
) -> np.ndarray:
    """Round in front, pointed behind, turned by `turn` radians."""
    angle = np.linspace(0, 2 * np.pi, _POINTS)
    x = radii[0] * np.cos(angle)
    y = radii[1] * np.sin(angle) * (1 + np.cos(angle)) / 1.3
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack(
        [centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1
    )


def smooth(points: list[tuple[float, float]]) -> np.ndarray:
    """A closed Catmull-Rom curve through the points."""
    p1 = np.asarray(points, float)[:, None]
    p0, p2, p3 = (np.roll(p1, -shift, axis=0) for shift in (-1, 1, 2))
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    # The curve from each point p1 to the next one, p2.
    curve = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return curve.reshape(-1, 2)


def ribbon(points: list[tuple[float, float]], widths: list[float]) -> np.ndarray:
    """The outline of a line through points, with a width at each of them."""
    centre = np.asarray(points, float)
    along = np.gradient(centre, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across *= (np.asarray(widths) / 2 / np.hypot(*across.T))[:, None]
    return np.concatenate([centre + across, (centre - across)[::-1]])
