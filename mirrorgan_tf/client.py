"""Requests images: `mirrorgan client --server=HOST:PORT --captions='a red bird'`.

Requests images of captions from TensorFlow Serving, by gRPC or (--rest) by HTTP, and
writes one file per caption. With --verify it compares a server with an exported version
instead. Programs use the classes `GrpcClient` and `RestClient`.
"""

import re
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from mirrorgan_tf import commands
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.generate import read_captions
from mirrorgan_tf.progress import Progress
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
    flags.DEFINE_bool("rest", False, "Use HTTP instead of gRPC.")
    flags.DEFINE_bool(
        "tls", False, "Encrypt, and check the server's certificate and its name."
    )
    define_path(
        "tls_ca",
        None,
        "PEM file of the certificates to trust for --tls; default: gRPC's own list, "
        "or the system's with --rest.",
    )
    flags.DEFINE_string("model", "birdlets", "The model's name on the server.")
    flags.DEFINE_integer(
        "model_version", None, "A version; default: the newest.", lower_bound=1
    )
    flags.DEFINE_enum("signature", "png", _SIGNATURES, "The signature to request.")
    flags.DEFINE_multi_string("captions", [], "A caption; may be repeated.")
    define_path(
        "captions_file", None, "File of captions, one a line; - is standard input."
    )
    flags.DEFINE_integer(
        "seed",
        0,
        f"Determines the noise (signatures {', '.join(_SEEDED)}).",
        lower_bound=-(2**63),
        upper_bound=2**63 - 1,
    )
    flags.DEFINE_integer(
        "steps", 8, "Images from one caption to another (interpolate).", lower_bound=2
    )
    define_path(
        "verify",
        None,
        "Folder of an exported version. Instead of requesting images, compare the "
        "outputs of all the server's signatures with it; exit status 1 if they differ.",
    )
    define_path("out", "images", "Folder for the images.")
    flags.DEFINE_integer("batch_size", 16, "Captions per request.", lower_bound=1)
    flags.DEFINE_float(
        "timeout_s",
        60.0,
        "Time limit of a request including its retries, in seconds.",
        lower_bound=0.001,
    )
    flags.DEFINE_integer(
        "retries",
        5,
        "Retries of a request while the server is unavailable.",
        lower_bound=0,
    )


def main() -> int:
    """Requests images, or compares the server with an exported version."""
    options = flags.FLAGS
    if not options.server:
        raise UserError("--server is missing; give --server=HOST:PORT")
    captions = []
    if not options.verify:
        captions = read_captions(options.captions, options.captions_file)
    if options.verify or not options.rest:
        # Only REST works without TensorFlow; the command then starts in a second.
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
    """Writes one image per caption, and prints the other outputs."""
    options = flags.FLAGS
    labels, inputs = _labels_and_inputs(options, captions)
    with Progress("requesting", len(labels)) as progress:
        for first in range(0, len(labels), options.batch_size):
            batch = labels[first : first + options.batch_size]
            rows = slice(first, first + len(batch))
            outputs = client.predict(
                options.signature,
                {name: value[rows] for name, value in inputs.items()},
            )
            for row, label in enumerate(batch):
                path = _write(outputs, row, label, first + row + 1, Path(options.out))
                printed = [str(path), *_other_outputs(outputs, row)]
                print(one_line(f"{label[:100]} -> {', '.join(printed)}"))
            progress.add(len(batch))


def _labels_and_inputs(options, captions):
    """The label of each image, and the inputs of all images by name."""
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


def _write(outputs, row, caption, number, folder):
    if not {"image", "image_bytes"} & set(outputs):
        raise UserError(
            "the signature returns no image; is --model the name of a MirrorGAN?"
        )
    slug = re.sub(r"[^a-z0-9]+", "-", caption.lower())[:40].strip("-")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if "image_bytes" in outputs:
            content = bytes(outputs["image_bytes"][row])
            suffix = "jpg" if content.startswith(b"\xff\xd8") else "png"
            path = folder / f"{number:04d}-{slug}.{suffix}"
            path.write_bytes(content)
        else:
            path = folder / f"{number:04d}-{slug}.png"
            Image.fromarray(outputs["image"][row]).save(path)
    except OSError as error:
        raise UserError(f"--out={folder}: can't be written ({error})") from None
    return path


def _other_outputs(outputs, row):
    if "redescription" in outputs:
        yield f"redescription: {outputs['redescription'][row].decode()}"
    if "seed" in outputs:
        yield f"seed {outputs['seed'][row]}"
    if "log_likelihood" in outputs:
        yield f"log likelihood {outputs['log_likelihood'][row]:.2f}"


if __name__ == "__main__":
    commands.run(main, define_flags)
