"""Generates images: `mirrorgan generate 'a red bird' --seeds=0-7 --out=birds.png`.

Prints how the redescription network describes each image. The same caption and seed
always give the same image, independently of other captions. Without --workdir, a small
trained model of the package is used: see --preset.

Captions are arguments, or lines of --captions_file ('-' is standard input; empty lines
are skipped). --out=FILE writes one picture with all images and captions; --out=FOLDER/
writes a PNG for each caption and seed, both of which are in its metadata.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags, logging

from mirrorgan_tf import __version__, commands
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
from mirrorgan_tf.presets import DEFAULT_PRESET

__all__ = ["define_flags", "draw_sheet", "main", "parse_seeds", "read_captions"]

_MAX_SHOWN_LETTERS = 300
_MAX_SEEDS = 10_000
_SEED_RANGE = re.compile(r"(-?\d+)(?:-(-?\d+))?")


def define_flags() -> None:
    """Defines the command's flags."""
    define_path("workdir", None, "Folder of a trained run.")
    define_path(
        "preset",
        None,
        "Name of a trained model of the package, folder of a preset, or a KerasHub "
        "handle such as hf://owner/model; default without --workdir: "
        f"{DEFAULT_PRESET}.",
    )
    flags.DEFINE_multi_string(
        "captions", [], "A caption, like the arguments; may be repeated."
    )
    define_path(
        "captions_file", None, "File of captions, one a line; - is standard input."
    )
    flags.DEFINE_string(
        "seeds",
        "0",
        "Seeds of the noise, one image each: 7, 0-7 or 1,5,10-12.",
    )
    flags.DEFINE_alias("seed", "seeds")
    define_path(
        "out",
        "grid.png",
        "Picture to write, in the format of its ending, such as .png or .jpg; or a "
        "folder, with / at its end, for a PNG of each image.",
    )
    flags.DEFINE_bool("scales", False, "Show the images of every scale.")
    flags.DEFINE_bool(
        "attention", False, "Show below the images which words each region attends to."
    )
    flags.DEFINE_bool(
        "tf32",
        None,
        "Multiply float32 in TF32 where a GPU has it; default: as in the training.",
    )
    flags.DEFINE_enum(
        "kernels",
        "auto",
        KERNELS,
        "auto: fast versions of operations where they were measured to be faster; "
        "reference: the plain versions.",
    )


def parse_seeds(text: str) -> list[int]:
    """Parses --seeds.

    Raises:
        UserError: it is no list of seeds and ranges, or has too many seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = _SEED_RANGE.fullmatch(part.strip())
        if not match:
            raise UserError(
                f"--seeds={text}: {part!r} is not a seed; write 7, 0-7 or 1,5,10-12"
            )
        first = int(match[1])
        last = int(match[2] or first)
        if not -(2**63) <= first <= last < 2**63:
            raise UserError(
                f"--seeds={text}: {part!r} must rise and have at most 64 bits"
            )
        if len(seeds) + last - first >= _MAX_SEEDS:
            raise UserError(f"--seeds={text}: more than {_MAX_SEEDS} seeds")
        seeds += range(first, last + 1)
    return seeds


def read_captions(arguments: Sequence[str], path: str | None) -> list[str]:
    """Reads the captions of the command line, then those of the file.

    Bytes that are not UTF-8 become U+FFFD, with a warning. A file with a byte order
    mark may also be UTF-16 or UTF-32.

    Raises:
        UserError: there is no caption, or the file can't be read or has NUL characters.
    """
    captions, broken = [], []
    for caption in arguments:
        # Python represents bytes of the command line that are not UTF-8 as surrogates.
        raw = caption.encode("utf-8", "surrogateescape")
        captions.append(raw.decode("utf-8", "replace"))
        if REPLACEMENT in captions[-1]:
            broken.append(repr(captions[-1]))
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
        raise UserError("no caption; give one, such as 'a red bird', or a file of them")
    if broken:
        logging.warning(
            "captions with characters that can't be read (not UTF-8?): %d, first %s",
            len(broken),
            broken[0],
        )
    return captions


def draw_sheet(
    descriptions: dict,
    captions: Sequence[str],
    *,
    scales: bool = False,
    attention: bool = False,
) -> np.ndarray:
    """Draws a grid of images with captions, and attention maps below.

    Args:
        descriptions: what `MirrorGAN.describe` returns for N captions.
        captions: N texts, which are shown with the redescriptions.
        scales: show the images of all scales side by side, not only the last one.
        attention: add a grid for each image and stage with word attention.

    Returns:
        (H, W, 3) uint8.
    """
    images = descriptions["images"]
    labels = [_shorten(caption) for caption in captions]
    if "redescription" in descriptions:
        labels = [
            f"{label}\nreads: {text}"
            for label, text in zip(labels, descriptions["redescription"], strict=True)
        ]
    cells = list(zip(*(images if scales else images[-1:]), strict=True))
    sheets = [caption_grid(cells, labels, columns=2 if scales else 4)]
    if attention:
        sheets += [
            attention_sheet(images[-1][row], maps[row], descriptions["words"][row])
            for row in range(len(captions))
            for maps in descriptions["word_attention"]
        ]
    return stack_sheets(sheets)


def _shorten(caption):
    """A caption on one line, of bounded length."""
    caption = " ".join(caption.split())
    if len(caption) <= _MAX_SHOWN_LETTERS:
        return caption
    return caption[: _MAX_SHOWN_LETTERS - 1] + "…"


def main(*arguments: str) -> None:
    """Generates images of the captions."""
    values = flags.FLAGS
    if values.workdir and values.preset:
        raise UserError("--workdir and --preset: give only one of them")
    is_folder = values.out.endswith("/") or Path(values.out).is_dir()
    if is_folder and (values.scales or values.attention):
        raise UserError(
            f"--out={values.out}: --scales and --attention need one picture; give a "
            "file name such as --out=grid.png"
        )
    if not is_folder:
        check_image_path("out", values.out)
    captions = read_captions([*arguments, *values.captions], values.captions_file)
    seeds = parse_seeds(values.seeds)
    model = _open_model(values)
    if values.attention and not (
        model.config.generator.word_attention and model.config.generator.scales > 1
    ):
        raise UserError(
            f"--attention: the generator of {_model_name(values)} has no word attention"
        )
    _warn_of_unknown_words(captions, model.tokenizer.vocabulary)
    try:
        if is_folder:
            _write_images(model, captions, seeds, values)
        else:
            _write_sheet(model, captions, seeds, values)
    except OSError as error:
        raise UserError(f"--out={values.out}: can't be written ({error})") from None
    logging.info("%d image(s): %s", len(captions) * len(seeds), values.out)


def _model_name(values):
    return values.workdir or values.preset or DEFAULT_PRESET


def _open_model(values):
    # Importing TensorFlow takes seconds; wrong flags are reported before.
    commands.start_keras()
    from mirrorgan_tf.ops.selection import set_kernels
    from mirrorgan_tf.presets.files import open_preset
    from mirrorgan_tf.tf32 import use_tf32
    from mirrorgan_tf.workdir import open_workdir

    if values.workdir:
        model = open_workdir(values.workdir)
    else:
        model = open_preset(_model_name(values))
    use_tf32(model.config.run.tf32 if values.tf32 is None else values.tf32)
    set_kernels(values.kernels)
    return model


def _warn_of_unknown_words(captions, vocabulary):
    from mirrorgan_tf.text.splitting import unknown_words

    words = dict.fromkeys(
        word for caption in captions for word in unknown_words(caption, vocabulary)
    )
    if words:
        shown = ", ".join(list(words)[:10]) + (", …" if len(words) > 10 else "")
        logging.warning("words that the model does not know and ignores: %s", shown)


def _write_sheet(model, captions, seeds, values):
    """Writes one picture with an image for each caption and seed."""
    rows = [(caption, seed) for caption in captions for seed in seeds]
    texts = [caption for caption, _ in rows]
    descriptions = model.describe(texts, seed=[seed for _, seed in rows])
    labels = texts
    if len(seeds) > 1:
        labels = [f"{_shorten(caption)} (seed {seed})" for caption, seed in rows]
    sheet = draw_sheet(
        descriptions, labels, scales=values.scales, attention=values.attention
    )
    save_image(sheet, Path(values.out))
    for row, label in enumerate(labels):
        _print_result(label, descriptions.get("redescription", {row: None})[row])


def _write_images(model, captions, seeds, values):
    """Writes a PNG for each caption and seed before the next image is generated."""
    from mirrorgan_tf.text.splitting import split_all

    digits = len(str(len(captions)))
    for number, caption in enumerate(captions, start=1):
        words = "-".join(split_all([caption])[0])[:40]
        for seed in seeds:
            description = model.describe(caption, seed=seed)
            path = Path(values.out) / f"{number:0{digits}d}-{words}-seed{seed}.png"
            metadata = {
                "caption": caption,
                "seed": str(seed),
                "model": f"{_model_name(values)}, step {model.step}",
                "Software": f"mirrorgan_tf {__version__}",
            }
            save_image(description["images"][-1], path, metadata)
            _print_result(f"{path.name}: {caption}", description.get("redescription"))


def _print_result(label, redescription):
    print(
        _shorten(label) + ("" if redescription is None else f" -> {redescription}"),
        flush=True,
    )


if __name__ == "__main__":
    commands.run(main, define_flags, operands=["caption..."])
