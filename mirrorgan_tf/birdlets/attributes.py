"""The attributes of birdlets: the ground truth of every image."""

import numpy as np

__all__ = ["ATTRIBUTES", "sample_attributes"]

# Attribute -> its values. Attributes are independent and uniform.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "body_color": (
        "red",
        "orange",
        "yellow",
        "green",
        "blue",
        "purple",
        "pink",
        "brown",
        "black",
        "white",
    ),
    "wing_color": ("red", "yellow", "green", "blue", "brown", "black", "white", "gray"),
    "belly_color": ("white", "yellow", "orange", "red", "gray", "brown"),
    "head_color": ("red", "yellow", "green", "blue", "black", "white", "gray"),
    "beak_length": ("short", "medium", "long"),
    "beak_color": ("yellow", "orange", "red", "black"),
    "direction": ("left", "right"),
    "size": ("small", "medium", "large"),
    "pose": ("standing", "leaning", "flying"),
    "shape": ("songbird", "wren", "swallow", "duck", "heron"),
    "crest": ("crested", "smooth"),
    "tail": ("short", "long"),
    "wing_pattern": ("plain", "barred"),
    "perch": ("branch", "rock", "post"),
    "background": ("sky", "water", "leaves", "meadow", "sunset"),
}


def sample_attributes(rng: np.random.Generator) -> dict[str, str]:
    """One value for every attribute, independent and uniform."""
    return {
        name: values[int(rng.integers(len(values)))]
        for name, values in ATTRIBUTES.items()
    }
