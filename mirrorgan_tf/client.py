"""`python -m mirrorgan_tf.client --server=localhost:8500 --captions='a red bird'`.

Asks TensorFlow Serving for images of captions, by gRPC or (--rest) by HTTP, and writes
them as files, one a caption; or (--verify) compares a server with an exported version.
`GrpcClient` and `RestClient` do the same for programs.
"""

import re
import time
from pathlib import Path

import numpy as np
from absl import flags, logging
from PIL import Image

from mirrorgan_tf import commands
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.generate import read_captions
from mirrorgan_tf.serving.clients import GrpcClient, RestClient
from mirrorgan_tf.terminal import one_line

__all__ = ["GrpcClient", "RestClient"]

_SEEDED = ("seeded", "redescribe", "best_of", "interpolate")
_SIGNATURES = ("png", "jpeg", "serving_default", *_SEEDED)


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "server", None, "HOST:PORT; TensorFlow Serving's are 8500, and 8501 for --rest."
    )
    flags.DEFINE_bool("rest", False, "Ask by HTTP instead of gRPC.")
    flags.DEFINE_bool(
        "tls", False, "Encrypt, and check the server's certificate and its name."
    )
    define_path(
        "tls_ca",
        None,
        "PEM file of the certificates to trust for --tls; default: gRPC's list, the "
        "system's for --rest.",
    )
    flags.DEFINE_string("model", "birdlets", "The model's name on the server.")
    flags.DEFINE_integer("model_version", None, "Default: the newest.", lower_bound=1)
    flags.DEFINE_enum("signature", "png", _SIGNATURES, "What to ask for.")
    flags.DEFINE_multi_string("captions", [], "A caption; may be repeated.")
    define_path(
        "captions_file", None, "File of captions, one a line; - is standard input."
    )
    flags.DEFINE_integer(
        "seed",
        0,
        f"Fixes the noise ({', '.join(_SEEDED)}).",
        lower_bound=-(2**63),
        upper_bound=2**63 - 1,
    )
    flags.DEFINE_integer(
        "steps", 8, "Images from one caption to another (interpolate).", lower_bound=2
    )
    define_path(
        "verify",
        None,
        "Folder of an exported version: instead of asking for images, compare what the "
        "server answers to every signature with it; exit status 1 if they differ.",
    )
    define_path("out", "images", "Folder for the images.")
    flags.DEFINE_integer("batch_size", 16, "Captions a request.", lower_bound=1)
    flags.DEFINE_float(
        "timeout_s", 60.0, "For a request, with all its tries.", lower_bound=0.001
    )
    flags.DEFINE_integer("retries", 5, "Further tries of a request.", lower_bound=0)


def main() -> int:
    """Asks for images, or compares the server with an exported version."""
    options = flags.FLAGS
    if not options.server:
        raise UserError("--server is missing; give --server=HOST:PORT")
    captions = []
    if not options.verify:
        captions = read_captions(options.captions, options.captions_file)
    if options.verify or not options.rest:
        # Comparing takes TensorFlow, and so does gRPC.
        commands.start_keras()
    client_class = RestClient if options.rest else GrpcClient
    client = client_class(
        options.server,
        options.model,
        options.model_version,
        timeout_s=options.timeout_s,
        retries=options.retries,
        tls=options.tls,
        tls_ca=options.tls_ca,
    )
    if options.verify:
        from mirrorgan_tf.serving.verification import verify

        return 0 if verify(client, Path(options.verify)) else 1
    _write_images(client, captions)
    return 0


def _write_images(client, captions):
    """Writes an image a caption, and prints what else is answered."""
    options = flags.FLAGS
    labels, inputs = _rows(options, captions)
    start = time.monotonic()
    for first in range(0, len(labels), options.batch_size):
        batch = labels[first : first + options.batch_size]
        answer = client.predict(
            options.signature,
            {name: value[first : first + len(batch)] for name, value in inputs.items()},
        )
        for row, label in enumerate(batch):
            path = _write(answer, row, label, first + row + 1, Path(options.out))
            facts = [str(path), *_facts(answer, row)]
            print(one_line(f"{label[:100]} -> {', '.join(facts)}"))
        done = first + len(batch)
        rate = done / (time.monotonic() - start)
        left_s = (len(labels) - done) / rate
        logging.info(
            "%d/%d, %.1f images/s, ETA %.0f s", done, len(labels), rate, left_s
        )


def _rows(options, captions):
    """What to call each image, and the inputs of all of them by name."""
    if options.signature == "interpolate":
        if len(captions) != 2:
            raise UserError(
                f"--signature=interpolate: needs two captions, not {len(captions)}"
            )
        weights = np.linspace(0, 1, options.steps, dtype=np.float32)
        labels = [f"{' to '.join(captions)} {weight:.2f}" for weight in weights]
        inputs = {
            "caption_from": captions[:1] * options.steps,
            "caption_to": captions[1:] * options.steps,
            "weight": weights,
        }
    else:
        labels, inputs = captions, {"caption": captions}
    if options.signature in _SEEDED:
        inputs["seed"] = np.full(len(labels), options.seed, np.int64)
    return labels, inputs


def _write(answer, row, caption, number, folder):
    if not {"image", "image_bytes"} & set(answer):
        raise UserError("the model answers no image; is --model one of ours?")
    slug = re.sub(r"[^a-z0-9]+", "-", caption.lower())[:40].strip("-")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if "image_bytes" in answer:
            content = bytes(answer["image_bytes"][row])
            suffix = "jpg" if content.startswith(b"\xff\xd8") else "png"
            path = folder / f"{number:04d}-{slug}.{suffix}"
            path.write_bytes(content)
        else:
            path = folder / f"{number:04d}-{slug}.png"
            Image.fromarray(answer["image"][row]).save(path)
    except OSError as error:
        raise UserError(f"--out={folder}: can't be written ({error})") from None
    return path


def _facts(answer, row):
    if "redescription" in answer:
        yield f"reads: {answer['redescription'][row].decode()}"
    if "seed" in answer:
        yield f"seed {answer['seed'][row]}"
    if "log_likelihood" in answer:
        yield f"log likelihood {answer['log_likelihood'][row]:.2f}"


if __name__ == "__main__":
    commands.run(main, define_flags)
