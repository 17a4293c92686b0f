"""Generates an image of a caption with LiteRT, without TensorFlow.

pip install ai-edge-litert numpy pillow
python examples/litert/generate.py FOLDER 'a red bird' bird.png [SEED]

FOLDER is what `mirrorgan export --format=litert --out=FOLDER` wrote.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizer import CaptionTokenizer

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    import tensorflow

    Interpreter = tensorflow.lite.Interpreter


def generate(folder: Path, caption: str, seed: int) -> np.ndarray:
    """Returns the image, (size, size, 3) uint8."""
    ids, length = CaptionTokenizer(folder / "tokenizer.json")(caption)
    runner = Interpreter(str(folder / "model.tflite")).get_signature_runner()
    noise_shape = runner.get_input_details()["noise"]["shape"]
    image = runner(
        ids=np.array([ids], np.int32),
        lengths=np.array([length], np.int32),
        noise=np.random.default_rng(seed).standard_normal(noise_shape, np.float32),
    )["image"][0]
    return np.round((image + 1) * 127.5).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    folder, caption, out, *seed = sys.argv[1:]
    image = generate(Path(folder), caption, int(seed[0]) if seed else 0)
    Image.fromarray(image).save(out)
