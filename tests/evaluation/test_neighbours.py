import numpy as np

from mirrorgan_tf.evaluation.neighbours import nearest


def test_nearest_agrees_with_the_matrix_of_all_distances():
    rng = np.random.default_rng(0)
    # More rows than a block has. Their lengths differ, so that the nearest row is not
    # the one with the largest dot product.
    rows, among = rng.normal(size=(2050, 5)), rng.normal(3, 4, size=(70, 5))
    distances = np.linalg.norm(rows[:, None] - among[None], axis=2)
    np.testing.assert_array_equal(nearest(rows, among), distances.argmin(axis=1))
