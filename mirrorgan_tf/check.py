"""Checks a data set before a training: `mirrorgan check --data_dir=data/mine`.

Reads the data set as training does, decodes its images, prints figures and problems,
and writes a picture of examples. Without --dataset its kind is guessed. The settings of
a training are accepted, such as --recipe=cub. The exit status is 1 if a training would
stop with an error.
"""

from pathlib import Path

from absl import flags

from mirrorgan_tf import commands
from mirrorgan_tf.config import config_flags
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError

__all__ = ["define_flags", "main", "parse_decode"]


def define_flags() -> None:
    """Defines the command's flags."""
    config_flags.define_flags()
    flags.DEFINE_string(
        "decode", "all", "How many images of a split to decode: all, none or a number."
    )
    define_path("out", "check.png", "Picture of examples to write.")
    define_path("workdir", None, "Not used. The flagfiles of recipes set it.")


def parse_decode(text: str) -> int | None:
    """The number of images that --decode says; None for all images.

    Raises:
        UserError: the value is invalid.
    """
    if text in ("all", "none"):
        return None if text == "all" else 0
    if not text.isdecimal():
        raise UserError(f"--decode={text}: must be all, none or a number of images")
    return int(text)


def main() -> int:
    """Checks the data set that the flags name."""
    values = flags.FLAGS
    decode = parse_decode(values.decode)
    # Wrong flags are reported before TensorFlow is imported, which takes seconds.
    commands.start_keras()
    from mirrorgan_tf.data.check_report import check, show_samples
    from mirrorgan_tf.data.sources import guess_dataset, open_dataset
    from mirrorgan_tf.pictures import check_image_path, save_image

    check_image_path("out", values.out)
    if not values["dataset"].present:
        values.dataset = guess_dataset(values.data_dir)
    config = config_flags.config_from_flags()
    print(f"{config.data.data_dir}: --dataset={config.data.dataset}", flush=True)
    splits = open_dataset(config, draw=False)
    report, stops = check(splits, config, decode=decode)
    print(report)
    samples = show_samples(splits["train"])
    if samples is not None:
        try:
            save_image(samples, Path(values.out))
        except OSError as error:
            raise UserError(f"--out={values.out}: can't be written ({error})") from None
        print(f"\nexamples: {values.out}")
    return int(stops)


if __name__ == "__main__":
    commands.run(main, define_flags)
