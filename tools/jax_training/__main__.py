"""`python -m tools.jax_training pack|train|unpack`; see the package."""

import argparse


def main() -> None:
    """Parses the arguments and calls one of the three."""
    parser = argparse.ArgumentParser(prog="python -m tools.jax_training")
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="captions and backbone to one file")
    pack.add_argument("--flagfile", required=True)
    pack.add_argument("--workdir", required=True)
    pack.add_argument("--out", required=True)
    pack.add_argument("--images", type=int, default=40_000)
    train = commands.add_parser("train", help="train with JAX")
    train.add_argument("--pack", required=True)
    train.add_argument("--out", required=True, help="folder of the weights")
    train.add_argument("--init", default="", help="folder of weights to begin with")
    train.add_argument("--stages", default="stem,stream,glam")
    train.add_argument("--images", type=int, default=40_000)
    train.add_argument("--processes", type=int, default=16, help="that draw images")
    train.add_argument("--samples", type=int, default=2_000, help="images to make")
    train.add_argument("--set", action="append", default=[], help="setting=value")
    unpack = commands.add_parser("unpack", help="weights to a workdir's checkpoints")
    unpack.add_argument("--flagfile", required=True)
    unpack.add_argument("--weights", required=True)
    unpack.add_argument("--workdir", required=True)
    unpack.add_argument("--glam_step", type=int, help="default: that of a finished run")
    arguments = parser.parse_args()
    if arguments.command == "train":
        from tools.jax_training.training import train_stages

        train_stages(arguments)
    elif arguments.command == "pack":
        from tools.jax_training.workdir import pack_workdir

        pack_workdir(arguments)
    else:
        from tools.jax_training.workdir import unpack_weights

        unpack_weights(arguments)


if __name__ == "__main__":
    main()
