"""Serves a web page: `mirrorgan demo --workdir=runs/birdlets`.

Open http://127.0.0.1:8000 and type a caption to see its image, which regions attend to
each word, and how the redescription network describes the image. Without a flag that
names a model, a small trained model of the package is used.
"""

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.demo.bounded_server import Limits
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.presets import DEFAULT_PRESET

_MODEL_FLAGS = ("workdir", "preset", "saved_model")


def define_flags() -> None:
    """Defines the command's flags."""
    define_path("workdir", None, "Folder of a trained run.")
    define_path(
        "preset",
        None,
        "Name of a trained model of the package, folder of a preset, or a KerasHub "
        f"handle; default without another model: {DEFAULT_PRESET}.",
    )
    define_path(
        "saved_model",
        None,
        "Folder that `mirrorgan export` wrote: of a version, or of all versions.",
    )
    flags.DEFINE_bool(
        "tf32", True, "Multiply float32 in TF32 where a GPU has it (A100 and later)."
    )
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
    flags.DEFINE_integer(
        "port",
        8000,
        "Port to listen on; 0: any free one.",
        lower_bound=0,
        upper_bound=65535,
    )
    flags.DEFINE_list(
        "allowed_hosts",
        [],
        "Further host names that browsers may use for the demo, such as a proxy's; "
        "--host, localhost, the machine's name and its address are always allowed.",
    )
    flags.DEFINE_integer(
        "max_connections",
        Limits.connections,
        "Open connections; further ones get status 503.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "max_captions",
        Limits.captions,
        "Captions that may wait or be processed (one at a time); further ones get "
        "status 503.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "idle_timeout_s",
        Limits.idle_timeout_s,
        "Seconds after which a connection without a complete request is closed.",
        lower_bound=0.1,
    )


def main() -> None:
    """Loads the model and serves until Ctrl-C."""
    values = flags.FLAGS
    named = [name for name in _MODEL_FLAGS if values[name].value]
    if len(named) > 1:
        raise UserError(f"--{named[0]} and --{named[1]}: give only one of them")
    # Importing TensorFlow takes seconds; wrong flags are reported before.
    commands.start_keras()
    from mirrorgan_tf.demo.model import DemoModel
    from mirrorgan_tf.demo.server import make_server
    from mirrorgan_tf.tf32 import use_tf32

    use_tf32(values.tf32)
    model = DemoModel(_open_model(values))
    limits = Limits(values.max_connections, values.max_captions, values.idle_timeout_s)
    try:
        server = make_server(
            model,
            values.host,
            values.port,
            limits=limits,
            allowed_hosts=values.allowed_hosts,
        )
    except OSError as error:
        raise UserError(
            f"--host={values.host} --port={values.port}: can't listen there "
            f"({error.strerror}); choose another --port"
        ) from None
    with server:
        logging.info("http://%s:%d (Ctrl-C ends)", values.host, server.server_port)
        server.serve_forever()


def _open_model(values):
    """Opens the model that the flags name."""
    from mirrorgan_tf.demo.model import SavedModel, TrainedModel
    from mirrorgan_tf.presets.files import open_preset
    from mirrorgan_tf.serving.loading import load_saved_model
    from mirrorgan_tf.workdir import open_workdir

    if values.saved_model:
        loaded, _ = load_saved_model(values.saved_model, "explain")
        return SavedModel(loaded)
    if values.workdir:
        return TrainedModel(open_workdir(values.workdir))
    return TrainedModel(open_preset(values.preset or DEFAULT_PRESET))


if __name__ == "__main__":
    commands.run(main, define_flags)
