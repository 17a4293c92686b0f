"""`python -m mirrorgan_tf.demo --saved_model=served/birdlets`.

Opens a web page at http://127.0.0.1:8000: type a caption, see its image, where each
word was looked at, and what the model reads back from the image.
"""

from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.demo.bounded_server import Limits
from mirrorgan_tf.errors import UserError


def define_flags() -> None:
    """Defines the command's flags."""
    define_path(
        "saved_model",
        None,
        "What `python -m mirrorgan_tf.export` wrote: a version, or all of them.",
    )
    flags.DEFINE_bool(
        "tf32", True, "Multiply float32 in TF32 where a GPU has it (A100 and later)."
    )
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen at.")
    flags.DEFINE_integer(
        "port", 8000, "0 takes any free one.", lower_bound=0, upper_bound=65535
    )
    flags.DEFINE_list(
        "allowed_hosts",
        [],
        "Names that browsers reach the demo by, such as a proxy's, besides --host, "
        "localhost, the machine's name and its address; all others are refused.",
    )
    flags.DEFINE_integer(
        "max_connections",
        Limits.connections,
        "Open connections; further ones are answered 503.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "max_captions",
        Limits.captions,
        "Captions that are drawn (one at a time) or wait; further ones are answered "
        "503.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "idle_timeout_s",
        Limits.idle_timeout_s,
        "Seconds after which a connection without a whole request is closed.",
        lower_bound=0.1,
    )


def main() -> None:
    """Loads the model and serves until Ctrl-C."""
    asked = flags.FLAGS
    if not asked.saved_model:
        raise UserError(
            "--saved_model is missing; give what `python -m mirrorgan_tf.export` wrote"
        )
    # It takes seconds: not before --help and wrong flags are answered.
    commands.start_keras()
    from mirrorgan_tf.demo.model import DemoModel
    from mirrorgan_tf.demo.server import make_server
    from mirrorgan_tf.tf32 import use_tf32

    use_tf32(asked.tf32)
    model = DemoModel(asked.saved_model)
    try:
        limits = Limits(asked.max_connections, asked.max_captions, asked.idle_timeout_s)
        server = make_server(
            model,
            asked.host,
            asked.port,
            limits=limits,
            allowed_hosts=asked.allowed_hosts,
        )
    except OSError as error:
        raise UserError(
            f"--host={asked.host} --port={asked.port}: can't listen there "
            f"({error.strerror}); choose another --port"
        ) from None
    with server:
        logging.info("http://%s:%d (Ctrl-C ends)", asked.host, server.server_port)
        server.serve_forever()


if __name__ == "__main__":
    commands.run(main, define_flags)
