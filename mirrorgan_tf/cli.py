"""The program `mirrorgan`: `mirrorgan train` runs `mirrorgan_tf.train`, and so on.

Its list of verbs needs neither Keras nor TensorFlow and appears at once.
"""

import runpy
import sys

from mirrorgan_tf import __version__, interrupts
from mirrorgan_tf.config.flagfiles import suggest

__all__ = ["VERBS", "main"]

# What each verb does; it runs the module or package of its name.
VERBS = {
    "generate": "make images of captions, with a trained run or a preset",
    "train": "train on CUB, COCO, your own images or synthetic birds",
    "evaluate": "compute FID, R-precision and other metrics of a trained run",
    "export": "write a trained run as a SavedModel for TensorFlow Serving",
    "demo": "open a web page that makes images of captions",
    "client": "request images from TensorFlow Serving, or test a server",
    "check": "check whether a data set is fit for training",
    "prepare": "pack a data set into TFRecord files for slow or remote disks",
    "birdlets": "write the data set of synthetic birds as files",
    "convert": "convert the original PyTorch checkpoints into a run",
    "presets": "save a trained run as a small preset",
    "ablation": "train and compare variants of the model, as the paper's table 3",
}

_USAGE = """\
usage: mirrorgan VERB [--flag=value ...]

MirrorGAN {version}: images from captions.

{verbs}

`mirrorgan VERB --help` lists the flags of a verb. Examples:
  mirrorgan generate 'a red bird with black wings' --out=bird.png
  mirrorgan train --recipe=birdlets
"""


def main() -> None:
    """Runs the verb on the command line."""
    interrupts.exit_on_interrupt()
    arguments = sys.argv[1:]
    if arguments[:1] == ["help"] and arguments[1:] and arguments[1] in VERBS:
        arguments = [arguments[1], "--help"]
    verb = arguments[0] if arguments else "help"
    if verb in VERBS:
        sys.argv = [f"mirrorgan {verb}", *arguments[1:]]
        runpy.run_module(f"mirrorgan_tf.{verb}", run_name="__main__")
    elif verb in ("help", "-h", "-help", "--help", "--helpfull", "--helpshort"):
        verbs = "\n".join(f"  {name:<10} {text}" for name, text in VERBS.items())
        print(_USAGE.format(version=__version__, verbs=verbs), end="")
    elif verb == "--version":
        print(__version__)
    else:
        sys.exit(
            f"error: there is no verb {verb!r}{suggest(verb, VERBS)}; "
            "`mirrorgan --help` lists all"
        )


if __name__ == "__main__":
    main()
