import numpy as np

from mirrorgan_tf.evaluation.neighbours import nearest


def test_nearest_agrees_with_the_matrix_of_all_distances():
    rng = np.random.default_rng(0)
    # More than are compared at once; lengths differ, so that products alone mislead.
    rows, among = rng.normal(size=(2050, 5)), rng.normal(3, 4, size=(70, 5))
    distances = np.linalg.norm(rows[:, None] - among[None], axis=2)
    np.testing.assert_array_equal(nearest(rows, among), distances.argmin(axis=1))
