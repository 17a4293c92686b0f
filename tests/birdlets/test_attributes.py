import itertools

import numpy as np

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES, sample_attributes

SAMPLES = 4000


def sampled_codes():
    rng = np.random.default_rng(5)
    samples = [sample_attributes(rng) for _ in range(SAMPLES)]
    return {
        name: np.array([values.index(sample[name]) for sample in samples])
        for name, values in ATTRIBUTES.items()
    }


def chi_square(table):
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    return ((table - expected) ** 2 / expected).sum()


def test_every_pair_of_attributes_is_independent():
    codes = sampled_codes()
    for first, second in itertools.combinations(ATTRIBUTES, 2):
        shape = len(ATTRIBUTES[first]), len(ATTRIBUTES[second])
        table = np.zeros(shape)
        np.add.at(table, (codes[first], codes[second]), 1)
        freedom = (shape[0] - 1) * (shape[1] - 1)
        # Six standard deviations above the mean of chi-square, since there are 105
        # pairs.
        bound = freedom + 6 * np.sqrt(2 * freedom)
        assert chi_square(table) < bound, (first, second)


def test_values_are_equally_frequent():
    for name, codes in sampled_codes().items():
        counts = np.bincount(codes, minlength=len(ATTRIBUTES[name]))
        expected = SAMPLES / len(ATTRIBUTES[name])
        assert np.all(np.abs(counts - expected) < 6 * np.sqrt(expected)), name
