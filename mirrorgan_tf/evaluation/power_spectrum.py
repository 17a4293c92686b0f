"""Power spectra, which show blur and artefacts of upsampling layers."""

import numpy as np

__all__ = ["compare_spectra", "mean_power_spectrum"]

# Frequencies in cycles per pixel, of which 0.5 is the highest possible one.
_HIGHEST = 7 / 16
_NEAR_AXIS = 1 / 16


def mean_power_spectrum(images: np.ndarray) -> np.ndarray:
    """Mean squared magnitude of the Fourier transform of brightness.

    A Hann window suppresses the effect of the images' edges; the mean is removed.

    Args:
        images: (N, S, S, 3) uint8, N at least 1.

    Returns:
        (S, S) float64, frequency 0 at [0, 0], as `numpy.fft.fft2`.
    """
    gray = images.mean(axis=3)
    gray -= gray.mean(axis=(1, 2), keepdims=True)
    hann = np.hanning(gray.shape[1] + 1)[:-1]
    spectra = np.fft.fft2(gray * hann * hann[:, None])
    return np.square(np.abs(spectra)).mean(axis=0)


def compare_spectra(spectrum: np.ndarray, real: np.ndarray) -> dict:
    """Ratios of power to that of real images; 1 means equal power.

    Args:
        spectrum: (S, S), from `mean_power_spectrum`.
        real: (S, S), of real images.

    Returns:
        `radial`: S // 2 ratios, for frequencies of 1 to S // 2 cycles an image in any
        direction. `highest_x`, `highest_y`: near the highest frequencies along one axis
        (7/16 cycles per pixel and more; along the other axis 1/16 and less), where
        stripes show. `checkerboard`: at half a cycle per pixel along both axes.
    """
    size = len(real)
    frequencies = np.abs(np.fft.fftfreq(size))
    along, across = frequencies >= _HIGHEST, frequencies <= _NEAR_AXIS
    radius = np.hypot(frequencies[:, None], frequencies) * size
    rings = [np.round(radius) == ring for ring in range(1, size // 2 + 1)]

    def ratio(mask):
        return float(spectrum[mask].mean() / max(real[mask].mean(), 1e-12))

    corner = np.zeros((size, size), bool)
    corner[size // 2, size // 2] = True
    return {
        "radial": [ratio(ring) for ring in rings],
        "highest_x": ratio(across[:, None] & along),
        "highest_y": ratio(along[:, None] & across),
        "checkerboard": ratio(corner),
    }
