"""What computing and storing in less costs: `-m benchmarks.served_errors WORKDIR`.

Serves a trained run in every way and compares the images of its validation captions
with those of float32. Prints a Markdown table.
"""

import sys

from mirrorgan_tf import commands  # noqa: F401  (quiets TensorFlow before its import)

__all__ = ["image_errors"]

_WAYS = {
    "bfloat16": {"dtype": "bfloat16"},
    "float16": {"dtype": "float16"},
    "int8 weights": {"quantize": "int8"},
    "int8 weights, bfloat16": {"quantize": "int8", "dtype": "bfloat16"},
}
_CAPTIONS = 32


def image_errors(images, exact) -> tuple[float, int, float]:
    """Mean and largest difference in levels, and mean SSIM; (N, H, W, 3) uint8."""
    import numpy as np
    import tensorflow as tf

    difference = np.abs(images.astype(int) - exact)
    ssim = tf.image.ssim(tf.constant(images), exact, 255)
    return difference.mean(), difference.max(), float(tf.reduce_mean(ssim))


def main() -> None:
    """Serves, compares, prints."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.served_errors WORKDIR")
    import tensorflow as tf

    from mirrorgan_tf.data.sources import open_dataset
    from mirrorgan_tf.serving.served_model import ServedModel
    from mirrorgan_tf.workdir import open_workdir

    run = open_workdir(sys.argv[1])
    captions = [own[0] for own in open_dataset(run.config)["val"].captions[:_CAPTIONS]]

    def images(**options):
        served = ServedModel(run.tokenizer, run.stem, run.glam, **options)
        seeds = tf.range(len(captions), dtype=tf.int64)
        ask = served.endpoints["seeded"]
        return ask(caption=tf.constant(captions), seed=seeds)["image"].numpy()

    exact = images()
    print("| export | pixel error: mean, max | SSIM |\n| --- | --- | --- |")
    for name, options in _WAYS.items():
        mean, most, ssim = image_errors(images(**options), exact)
        print(f"| {name} | {mean:.2f}, {most} | {ssim:.4f} |")
    print(f"\n{len(captions)} captions, {exact.shape[1]} px, of 255 levels.")


if __name__ == "__main__":
    main()
