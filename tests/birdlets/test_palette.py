import itertools

import numpy as np

from mirrorgan_tf.birdlets.palette import COLOR_RANGES, sample_color


def test_colors_of_a_name_vary_and_differ_from_those_of_other_names():
    rng = np.random.default_rng(0)
    samples = {
        name: np.array([sample_color(name, rng) for _ in range(200)], float)
        for name in COLOR_RANGES
    }
    for name, colors in samples.items():
        assert len(np.unique(colors, axis=0)) > 50, name
    for first, second in itertools.combinations(samples, 2):
        apart = np.linalg.norm(samples[first][:, None] - samples[second], axis=2)
        assert apart.min() > 40, (first, second)
