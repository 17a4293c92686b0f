"""`python -m mirrorgan_tf.generate --captions='a red bird' [--workdir=runs/birdlets]`.

Draws an image for each caption into one grid and prints what the redescription
network reads back from it. --captions may be given many times; --captions_file holds
one caption a line ('-' is standard input, empty lines are passed over). The same
caption and seed give the same image, whatever the other captions are. Without
--workdir a small trained model of the package draws, --preset.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags, logging

from mirrorgan_tf import commands
from mirrorgan_tf.config.groups import KERNELS
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.encoding import REPLACEMENT, decode_lines
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes
from mirrorgan_tf.pictures import (
    attention_sheet,
    caption_grid,
    check_image_path,
    save_image,
    stack_sheets,
)

__all__ = ["define_flags", "draw_sheet", "main", "read_captions"]

_DEFAULT_PRESET = "birdlets_64"
# Letters of a caption that a grid shows.
_SHOWN = 300


def define_flags() -> None:
    """Defines the command's flags; not at import, where commands would collide."""
    define_path("workdir", None, "Folder of a trained run.")
    define_path(
        "preset",
        None,
        "A trained model of the package, or the folder of a preset; default without "
        f"--workdir: {_DEFAULT_PRESET}.",
    )
    flags.DEFINE_multi_string("captions", [], "A caption; may be repeated.")
    define_path(
        "captions_file", None, "File of captions, one a line; - is standard input."
    )
    flags.DEFINE_integer(
        "seed", 0, "Fixes the noise.", lower_bound=-(2**63), upper_bound=2**63 - 1
    )
    define_path(
        "out",
        "grid.png",
        "The image to write: PNG, or what its ending says, such as .jpg.",
    )
    flags.DEFINE_bool("scales", False, "Show the images of every scale.")
    flags.DEFINE_bool(
        "attention", False, "Show below the grid where each word is looked at."
    )
    flags.DEFINE_bool(
        "tf32",
        None,
        "Multiply float32 in TF32 where a GPU has it; default: as the training did.",
    )
    flags.DEFINE_enum(
        "kernels",
        "auto",
        KERNELS,
        "auto: fast versions of operations where they were measured to be faster; "
        "reference: the plain versions.",
    )


def read_captions(given: Sequence[str], path: str | None) -> list[str]:
    """The captions of the flags, then those of the file.

    Bytes that are no UTF-8 become U+FFFD, with a warning; a byte order mark may
    announce UTF-16 or UTF-32 in the file.

    Raises:
        UserError: there is none, or the file can't be read or holds NUL characters.
    """
    captions, broken = [], []
    for caption in given:
        # Command lines hold such bytes as lone surrogates.
        raw = caption.encode("utf-8", "surrogateescape")
        captions.append(raw.decode("utf-8", "replace"))
        if REPLACEMENT in captions[-1]:
            broken.append(f"--captions={captions[-1]}")
    if path is not None:
        try:
            content = sys.stdin.buffer.read() if path == "-" else read_bytes(path)
        except OSError as error:
            raise UserError(
                f"--captions_file={path}: can't be read ({error})"
            ) from None
        source = f"--captions_file={path}"
        lines, broken_lines = decode_lines(content, source)
        captions += [line.strip() for line in lines if line.strip()]
        broken += [f"{source}: line {number}" for number in broken_lines]
    if not captions:
        raise UserError("no caption; give --captions='a red bird' or --captions_file")
    if broken:
        logging.warning(
            "captions with characters that can't be read (not UTF-8?): %d, first %s",
            len(broken),
            broken[0],
        )
    return captions


def draw_sheet(
    made: dict,
    captions: Sequence[str],
    *,
    scales: bool,
    attention: bool,
) -> np.ndarray:
    """The grid, with attention maps below where asked for.

    Args:
        made: what `MirrorGAN.describe` gives for N captions.
        captions: N strings, shown with the redescriptions.
        scales: all scales side by side instead of the last one.
        attention: adds a sheet for each caption and attending stage.

    Returns:
        (H, W, 3) uint8.
    """
    shown = made["images"] if scales else made["images"][-1:]
    labels = [_shorten(caption) for caption in captions]
    if "redescription" in made:
        labels = [
            f"{label}\nreads: {redescription}"
            for label, redescription in zip(labels, made["redescription"], strict=True)
        ]
    cells = list(zip(*shown, strict=True))
    sheets = [caption_grid(cells, labels, columns=2 if scales else 4)]
    if attention:
        sheets += [
            attention_sheet(made["images"][-1][row], maps[row], made["words"][row])
            for row in range(len(captions))
            for maps in made["word_attention"]
        ]
    return stack_sheets(sheets)


def _shorten(caption):
    """A caption on one line, of bounded length."""
    caption = " ".join(caption.split())
    return caption if len(caption) <= _SHOWN else caption[: _SHOWN - 1] + "…"


def main() -> None:
    """Opens the run, draws, prints."""
    asked = flags.FLAGS
    if asked.workdir and asked.preset:
        raise UserError("--workdir and --preset: give one of them")
    check_image_path("out", asked.out)
    captions = read_captions(asked.captions, asked.captions_file)
    # It takes seconds: not before --help and wrong flags are answered.
    commands.start_keras()
    from mirrorgan_tf.ops.selection import set_kernels
    from mirrorgan_tf.presets.files import open_preset
    from mirrorgan_tf.tf32 import use_tf32
    from mirrorgan_tf.workdir import open_workdir

    if asked.workdir:
        run = open_workdir(asked.workdir)
    else:
        run = open_preset(asked.preset or _DEFAULT_PRESET)
    use_tf32(run.config.run.tf32 if asked.tf32 is None else asked.tf32)
    set_kernels(asked.kernels)
    if asked.attention and not (
        run.config.generator.word_attention and run.config.generator.scales > 1
    ):
        raise UserError(
            f"--attention: the generator of {run.path} has no word attention"
        )
    # One at a time: rounding may differ between batch sizes.
    made = run.describe(captions, seed=asked.seed)
    sheet = draw_sheet(made, captions, scales=asked.scales, attention=asked.attention)
    try:
        save_image(sheet, Path(asked.out))
    except OSError as error:
        raise UserError(f"--out={asked.out}: can't be written ({error})") from None
    for row, caption in enumerate(captions):
        reads = f" -> {made['redescription'][row]}" if "redescription" in made else ""
        print(f"{_shorten(caption)}{reads}")
    logging.info("%d image(s): %s", len(captions), asked.out)


if __name__ == "__main__":
    commands.run(main, define_flags)
