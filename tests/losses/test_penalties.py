import numpy as np

from mirrorgan_tf.losses.penalties import matching_penalty, r1_penalty


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_penalties_of_gradients_in_closed_form():
    images, sentence = _normal(2, 4, 4, 3), _normal(2, 5)
    of_image, of_sentence = (images**2).sum((1, 2, 3)), (sentence**2).sum(1)
    np.testing.assert_allclose(r1_penalty(images), of_image / 2, rtol=1e-5)
    np.testing.assert_allclose(
        matching_penalty(images, sentence, 3.0),
        np.sqrt(of_image + of_sentence) ** 3,
        rtol=1e-5,
    )
    assert (matching_penalty(0 * images, 0 * sentence) == 0).numpy().all()
