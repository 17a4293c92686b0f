import colorsys

import numpy as np
import pytest
from PIL import Image

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES, sample_attributes
from mirrorgan_tf.birdlets.drawing import draw_bird


def color_name(rgb):
    """The name that people would give to a colour, by simple rules."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
    hue *= 360
    if value < 0.25:
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.75 else "gray"
    if hue < 12 or hue > 350:
        return "red"
    if hue < 42:
        return "orange" if value > 0.7 else "brown"
    for name, limit in (("yellow", 75), ("green", 165), ("blue", 250)):
        if hue < limit:
            return name
    return "purple" if hue < 305 else "pink"


@pytest.fixture(scope="module")
def birds():
    pairs = []
    for index in range(120):
        rng = np.random.default_rng([21, index])
        attributes = sample_attributes(rng)
        pairs.append((attributes, draw_bird(attributes, rng)))
    return pairs


@pytest.mark.parametrize("side", [256, 64, 32])
def test_body_color_fills_the_middle_of_the_image(birds, side):
    correct = 0
    for attributes, picture in birds:
        small = np.asarray(Image.fromarray(picture).resize((side, side), 4))
        near = max(1, side // 32)
        middle = small[side // 2 - near : side // 2 + near, :][
            :, side // 2 - near : side // 2 + near
        ]
        rgb = np.median(middle.reshape(-1, 3), axis=0)
        correct += color_name(rgb) == attributes["body_color"]
    assert correct >= 0.97 * len(birds)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_every_value_of_an_attribute_changes_the_image(name):
    base = sample_attributes(np.random.default_rng(3))
    pictures = [
        draw_bird(base | {name: value}, np.random.default_rng(4)).astype(float)
        for value in ATTRIBUTES[name]
    ]
    for i, picture in enumerate(pictures):
        for other in pictures[:i]:
            # Some pixels change by much more than sensor noise.
            changed = np.abs(picture - other).max(axis=2) > 40
            assert changed.sum() > 60
