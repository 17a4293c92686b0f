import numpy as np
import pytest

from mirrorgan_tf.evaluation.power_spectrum import compare_spectra, mean_power_spectrum

SIZE = 32


def with_wave(pattern, amplitude=20):
    """Spectrum of noise plus a wave."""
    noise = np.random.default_rng(0).normal(128, 10, (40, SIZE, SIZE, 1))
    images = np.repeat(noise + amplitude * pattern[..., None], 3, axis=3)
    images = np.clip(np.round(images), 0, 255).astype(np.uint8)
    return mean_power_spectrum(images)


def test_mean_power_spectrum_has_parsevals_power_in_the_bin_of_a_wave():
    x = np.arange(SIZE)
    wave = np.round(100 + 40 * np.cos(2 * np.pi * 8 * x / SIZE))
    image = np.broadcast_to(wave[:, None, None], (SIZE, SIZE, 3)).astype(np.uint8)
    spectrum = mean_power_spectrum(image[None])
    assert np.argmax(spectrum[: SIZE // 2, 0]) == 8
    # A Hann window in both directions halves the amplitude twice.
    assert spectrum[8, 0] == pytest.approx((40 / 2 * SIZE**2 / 4) ** 2, rel=0.01)


@pytest.mark.parametrize("key", ["highest_x", "highest_y", "checkerboard"])
def test_each_ratio_shows_its_own_artefact_alone(key):
    sign = (-1.0) ** np.arange(SIZE)
    pattern = {
        "highest_x": np.broadcast_to(sign, (SIZE, SIZE)),
        "highest_y": np.broadcast_to(sign[:, None], (SIZE, SIZE)),
        "checkerboard": sign * sign[:, None],
    }[key]
    ratios = compare_spectra(with_wave(pattern), with_wave(pattern, amplitude=0))
    assert ratios.pop(key) > 10
    assert ratios["radial"][3] == pytest.approx(1, abs=0.1)
    for other in ratios.keys() - {"radial"}:
        assert ratios[other] == pytest.approx(1, abs=0.1)
