import numpy as np

from mirrorgan_tf.losses.penalties import r1_penalty
from tests.conftest import normal


def test_r1_penalty_is_half_the_squared_norm_of_each_gradient():
    gradients = normal(2, 4, 4, 3)
    norms = (gradients**2).sum((1, 2, 3))
    np.testing.assert_allclose(r1_penalty(gradients), norms / 2, rtol=1e-5)
    several = [gradients, 2 * gradients]
    np.testing.assert_allclose(r1_penalty(several), norms * 5 / 2, rtol=1e-5)
