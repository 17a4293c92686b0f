"""Serving of the paper's generator: `python -m benchmarks.serve`.

Exports a generator of paper size (CUB: 256 px, random weights) in several variants and
measures time, memory and image errors, each variant in a process of its own. Prints
Markdown tables, in about five minutes on two cores.

`python -m benchmarks.serve errors RUN` prints the image errors of a trained run on its
validation captions.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import in_a_process, keep_jax_out
from benchmarks.rates import rates_table

# Seconds of the original's generator for one image, fp32 and 2 threads, on a machine of
# these rates.
_ORIGINAL_S = 0.115
_ORIGINAL_RATES = {"matmul float32": 195, "convolution float32": 82}

_VARIANTS = {
    "float32": {},
    "float32, XLA": {"xla": True},
    "bfloat16": {"dtype": "bfloat16"},
    "bfloat16, XLA": {"dtype": "bfloat16", "xla": True},
    "float16": {"dtype": "float16"},
    "int8 weights": {"quantize": "int8"},
}
_ERROR_VARIANTS = {
    name: _VARIANTS[name] for name in ("bfloat16", "float16", "int8 weights")
} | {"int8 weights, bfloat16": {"quantize": "int8", "dtype": "bfloat16"}}
_ERROR_CAPTIONS = 32
_BATCHES = (1, 8, 32)
_CAPTION = "a red bird with black wings"
_VOCABULARY = 5450


def export_all(folder: Path) -> None:
    """Writes every variant as a SavedModel of the same weights."""
    import keras

    from mirrorgan_tf.config import Config
    from mirrorgan_tf.networks import build_glam, build_text_encoder
    from mirrorgan_tf.serving.served_model import ServedModel
    from mirrorgan_tf.serving.versions import save_version
    from mirrorgan_tf.text.tokenizer import CaptionTokenizer
    from mirrorgan_tf.text.vocabulary import Vocabulary

    keras.utils.set_random_seed(1)
    config = Config()
    words = _CAPTION.split()
    words += [f"w{i}" for i in range(_VOCABULARY - 1 - len(words))]
    tokenizer = CaptionTokenizer(Vocabulary(words), config.text.max_words)
    stem, glam = build_text_encoder(config, _VOCABULARY), build_glam(config)
    for name, options in _VARIANTS.items():
        model = ServedModel(tokenizer, stem, glam, **options)
        xla = options.get("xla", False)
        save_version(model, model.endpoints, folder / name, 1, xla=xla)


def measure(folder: Path) -> dict:
    """Latencies and peak memory in this process; saves seeded images."""
    start = time.perf_counter()
    keep_jax_out()
    import numpy as np
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the tokenizer's op)

    from benchmarks.rates import best_seconds
    from mirrorgan_tf.training.memory import peak_gib

    imported = time.perf_counter()
    model = tf.saved_model.load(str(folder))
    serve = model.signatures["serving_default"]
    serve(caption=tf.constant([_CAPTION]))["image"].numpy()
    first = time.perf_counter()
    results = {"import": imported - start, "first": first - imported}
    for batch in _BATCHES:
        captions = tf.constant([_CAPTION] * batch)
        results[f"batch {batch}"] = best_seconds(
            lambda captions=captions: serve(caption=captions)["image"].numpy(),
            tries=10 if batch == 1 else 3,
        )
        results[f"memory {batch}"] = peak_gib()
    seeded = model.signatures["seeded"](
        caption=tf.constant([_CAPTION] * 4), seed=tf.range(4, dtype=tf.int64)
    )
    np.save(folder / "seeded.npy", seeded["image"].numpy())
    return results


def compare(folder: Path) -> dict[str, tuple[float, int, float]]:
    """Errors of each variant's images against those of float32."""
    import numpy as np

    images = {name: np.load(folder / name / "1" / "seeded.npy") for name in _VARIANTS}
    return {
        name: _image_errors(values, images["float32"])
        for name, values in images.items()
    }


def _image_errors(images, exact):
    """Mean and largest difference in levels, and mean SSIM; (N, H, W, 3) uint8."""
    import numpy as np
    import tensorflow as tf

    difference = np.abs(images.astype(int) - exact)
    ssim = tf.image.ssim(tf.constant(images), exact, 255)
    return difference.mean(), difference.max(), float(tf.reduce_mean(ssim))


def run_errors(workdir: str) -> None:
    """Prints the errors of a trained run's images, by variant."""
    import tensorflow as tf

    from mirrorgan_tf.data.sources import open_dataset
    from mirrorgan_tf.serving.served_model import ServedModel
    from mirrorgan_tf.workdir import open_workdir

    run = open_workdir(workdir)
    captions = open_dataset(run.config)["val"].captions[:_ERROR_CAPTIONS]
    captions = [texts[0] for texts in captions]

    def images(**options):
        served = ServedModel(run.tokenizer, run.stem, run.glam, **options)
        seeds = tf.range(len(captions), dtype=tf.int64)
        seeded = served.endpoints["seeded"]
        return seeded(caption=tf.constant(captions), seed=seeds)["image"].numpy()

    exact = images()
    print("| export | pixel error: mean, max | SSIM |\n| --- | --- | --- |")
    for name, options in _ERROR_VARIANTS.items():
        mean, most, ssim = _image_errors(images(**options), exact)
        print(f"| {name} | {mean:.2f}, {most} | {ssim:.4f} |")


def generator_alone(folder: Path) -> dict[str, float]:
    """Seconds for one image from embeddings, with batch norms kept and folded."""
    del folder
    import keras
    import tensorflow as tf

    from benchmarks.rates import best_seconds
    from mirrorgan_tf.config import Config
    from mirrorgan_tf.models.folding import fold_batch_norm
    from mirrorgan_tf.networks import build_glam

    keras.utils.set_random_seed(1)
    config = Config()
    kept = build_glam(config)
    inputs = [
        tf.random.normal((1, *shape))
        for shape in (
            (config.text.max_words, config.encoders.words_dim),
            (config.encoders.words_dim,),
            (config.generator.noise_dim,),
            (config.generator.condition_dim,),
        )
    ]
    results = {}
    for name, glam in (
        ("float32, batch norms kept", kept),
        ("float32", fold_batch_norm(kept)),
        ("bfloat16", fold_batch_norm(kept, "bfloat16")),
    ):
        generate = tf.function(
            lambda *inputs, glam=glam: glam(*inputs)["images"], autograph=False
        )
        results[name] = best_seconds(
            lambda generate=generate: generate(*inputs)[-1].numpy(), tries=20
        )
    return results


def main() -> None:
    """Exports, measures each variant in a new process, and prints."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        _in_a_process("export", folder)
        results = {n: _in_a_process("measure", folder / n / "1") for n in _VARIANTS}
        sizes = {
            name: sum(f.stat().st_size for f in (folder / name).rglob("*.*")) / 1e6
            for name in _VARIANTS
        }
        errors = _in_a_process("compare", folder)
        alone = _in_a_process("alone", folder)
    print(rates_table(in_a_process("benchmarks.rates", "json")))
    columns = [f"batch {batch}" for batch in _BATCHES]
    header = ["export", "MB", "cold load to first image"]
    header += [f"{c}: ms, images/s, peak GiB" for c in columns]
    header += ["pixel error: mean, max", "SSIM"]
    print("| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
    for name, row in results.items():
        cells = [name, f"{sizes[name]:.1f}", f"{row['first']:.1f} s"]
        for batch in _BATCHES:
            seconds = row[f"batch {batch}"]
            memory = row[f"memory {batch}"]
            cells.append(f"{1e3 * seconds:.0f}, {batch / seconds:.1f}, {memory:.2f}")
        mean, most, ssim = errors[name]
        cells += [f"{mean:.2f}, {most}", f"{ssim:.4f}"]
        print("| " + " | ".join(cells) + " |")
    print("\nThe original's generator, one image: 115 ms where rates were", end=" ")
    print(", ".join(f"{name} {rate}" for name, rate in _ORIGINAL_RATES.items()) + ".")
    for name in _VARIANTS:
        ratio = _ORIGINAL_S / results[name]["batch 1"]
        print(f"{name}: {ratio:.2f} times as fast, caption to image.")
    print("\nThe generator alone, one image:")
    for name, seconds in alone.items():
        ratio = _ORIGINAL_S / seconds
        print(f"{name}: {1e3 * seconds:.0f} ms, {ratio:.2f} times as fast.")


def _in_a_process(job, folder):
    return in_a_process("benchmarks.serve", job, str(folder))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "errors":
        run_errors(sys.argv[2])
    else:
        jobs = {
            "export": export_all,
            "measure": measure,
            "compare": compare,
            "alone": generator_alone,
        }
        result = jobs[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps(result, default=float))
