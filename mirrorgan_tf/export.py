"""`python -m export --workdir=runs/birdlets --out=served/birdlets`.

Writes a trained run as a SavedModel for TensorFlow Serving, in the next version folder
of --out. README lists its signatures; captions go in, images come out.
"""

from pathlib import Path

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

_OPTIONS = ("dtype", "quantize", "ema", "xla", "max_batch", "candidates")


def define_flags() -> None:
    """Defines the command's flags."""
    define_path("workdir", None, "Folder of a trained run.")
    define_path("out", None, "Folder of all versions of the served model.")
    flags.DEFINE_integer(
        "version",
        None,
        "Version to write, from 1; default: the next one in --out.",
        lower_bound=1,
    )
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16", "float16"],
        "What the generator computes in.",
    )
    flags.DEFINE_enum(
        "quantize", "none", ["none", "int8"], "Store kernels in eight bits."
    )
    flags.DEFINE_bool("ema", True, "Export the averaged generator, not the last.")
    flags.DEFINE_bool(
        "xla",
        False,
        "Compile the generator where it is served, once a batch size; TensorFlow "
        "Serving on CPUs then needs --xla_cpu_compilation_enabled.",
    )
    flags.DEFINE_integer(
        "max_batch", 32, "Captions that a request may hold.", lower_bound=1
    )
    flags.DEFINE_integer(
        "candidates", 4, "Images that best_of chooses from.", lower_bound=1
    )
    flags.DEFINE_bool(
        "redescription",
        True,
        "Export STREAM too: signatures redescribe and best_of.",
    )


def main() -> None:
    """Opens the run and saves it."""
    values = flags.FLAGS
    for name in ("workdir", "out"):
        if not values[name].value:
            raise UserError(f"--{name} is missing; give --workdir=RUN --out=FOLDER")
    # It takes seconds: not before --help and wrong flags are answered.
    commands.start_keras()
    from mirrorgan_tf.serving.manifest import manifest, write_manifest
    from mirrorgan_tf.serving.served_model import ServedModel
    from mirrorgan_tf.serving.versions import choose_version, folder_bytes, save_version
    from mirrorgan_tf.serving.warmup import write_warmup
    from mirrorgan_tf.workdir import open_workdir

    out = Path(values.out)
    version = choose_version(out, values.version)
    run = open_workdir(values.workdir, ema=values.ema)
    if values.redescription and run.stream is None:
        logging.info("the run has no STREAM: as with --noredescription")
    stream = run.stream if values.redescription else None
    model = ServedModel(
        run.tokenizer,
        run.stem,
        run.glam,
        stream,
        candidates=values.candidates,
        max_batch=values.max_batch,
        dtype=values.dtype,
        quantize=None if values.quantize == "none" else values.quantize,
        xla=values.xla,
    )
    options = {name: values[name].value for name in _OPTIONS}
    options["redescription"] = stream is not None

    def complete(folder):
        write_manifest(manifest(run, options, model.endpoints), folder)
        batches = _warmup_batches(model, values.max_batch)
        write_warmup(model.endpoints, folder, batches)

    target = save_version(
        model, model.endpoints, out, version, xla=values.xla, complete=complete
    )
    for name, endpoint in sorted(model.endpoints.items()):
        logging.info("  %s: %s", name, _describe(endpoint))
    if values.xla:
        logging.info(
            "compiled where it is served: on CPUs start tensorflow_model_server with "
            "--xla_cpu_compilation_enabled"
        )
    logging.info("%s: %.1f MB", target, folder_bytes(target) / 1e6)


def _warmup_batches(model, max_batch):
    """Signature and number of rows of each warm-up request."""
    if model.batch_sizes:
        # XLA compiles for seconds at the first request of each batch size.
        return [
            (name, size)
            for name in sorted(model.endpoints)
            for size in model.batch_sizes
        ]
    # The largest request makes TensorFlow allocate the memory of all others.
    one_row_each = [(name, 1) for name in sorted(model.endpoints)]
    return [*one_row_each, ("serving_default", max_batch)]


def _describe(endpoint):
    inputs = endpoint.structured_input_signature[1]
    outputs = endpoint.structured_outputs
    return " -> ".join(
        ", ".join(
            f"{name} {spec.dtype.name} {['N', *spec.shape[1:]]}".replace("'", "")
            for name, spec in specs.items()
        )
        for specs in (inputs, outputs)
    )


if __name__ == "__main__":
    commands.run(main, define_flags)
