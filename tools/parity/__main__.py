"""Compares our networks with the original's, by golden tensors in a folder.

Usage: python -m tools.parity FOLDER

FOLDER has any of stem.npz, glam.npz, adversarial.npz, stream_decoder.npz, damsm.npz
and tokenizer.json: random parameters of the original networks with their inputs and
outputs. All sizes are read from the arrays. Prints a line per quantity: name, relative
error, tolerance, ok or FAIL. Documents (.md) are ignored. The exit status is 1 if a
quantity fails or anything in the folder is not compared.
"""

# To be imported before Keras and TensorFlow.
import mirrorgan_tf.keras_settings  # noqa: F401

# isort: split
import json
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from mirrorgan_tf import commands
from mirrorgan_tf.errors import UserError, first_line
from mirrorgan_tf.files import read_bytes
from mirrorgan_tf.text.splitting import split_words
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.tf32 import use_tf32
from tools.parity.adversarial_checks import check_adversarial
from tools.parity.golden import GoldenFile, MissingGoldenError, Report
from tools.parity.network_checks import (
    check_damsm,
    check_glam,
    check_stem,
    check_stream_decoder,
)

__all__ = ["check_folder", "main"]

_CHECKS = {
    "stem": check_stem,
    "stream_decoder": check_stream_decoder,
    "damsm": check_damsm,
    "glam": check_glam,
    "adversarial": check_adversarial,
}
_TOKENIZER = "tokenizer.json"
_DOCUMENTS = (".md", ".rst")


def check_folder(folder: str | Path) -> Report:
    """Compares everything in a folder, and prints a line per quantity.

    Computes in full precision: the errors of TF32 are up to 2e-2.

    Raises:
        UserError: the folder or a file in it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; give a folder of golden .npz files")
    use_tf32(False)
    report = Report()
    goldens = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz" and path.stem in _CHECKS:
            goldens[path.stem] = GoldenFile(path)
        elif path.name == _TOKENIZER:
            _check_tokenizer(path, report)
        elif path.suffix not in _DOCUMENTS:
            report.gap(f"{path.name}: there is no check for such a file")
    for name, check in _CHECKS.items():
        if name not in goldens:
            continue
        before = len(report.lines)
        arguments = (goldens,) if check is check_adversarial else ()
        _run(name, lambda: check(goldens[name], *arguments, report), report)  # noqa: B023
        if len(report.lines) == before:
            report.gap(f"{name}.npz: no quantity of it was compared")
    for name, golden in goldens.items():
        for key in golden.unused():
            report.gap(f"{name}.npz: {key}")
    if not report.lines and not report.gaps:
        raise UserError(f"{folder}: contains nothing to compare")
    return report


def _run(name: str, check: Callable[[], None], report: Report) -> None:
    try:
        check()
    except (MissingGoldenError, UserError) as error:
        report.gap(f"{name}.npz: {error}")
    except (ValueError, TypeError, IndexError, tf.errors.OpError) as error:
        # Arrays of contradictory shapes raise any of these.
        report.gap(f"{name}.npz: its arrays contradict each other: {first_line(error)}")


def _check_tokenizer(path: Path, report: Report) -> None:
    try:
        examples = json.loads(read_bytes(path))
        captions = [str(example["caption"]) for example in examples]
        tokens = [[str(token) for token in example["tokens"]] for example in examples]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: is no JSON list of captions with tokens ({error!r})"
        ) from error
    for key in sorted({key for example in examples for key in example}):
        if key not in ("caption", "tokens"):
            report.gap(f"{path.name}: {key}")
    if not examples:
        report.gap(f"{path.name}: it is empty")
        return
    report.compare_exactly(
        "tokenizer/words",
        split_words(captions).to_list(),
        [[token.encode() for token in row] for row in tokens],
    )
    vocabulary = Vocabulary(sorted({token for row in tokens for token in row}))
    tokenizer = CaptionTokenizer(vocabulary, max_words=max(map(len, tokens)) or 1)
    ids, _ = tokenizer(tf.constant(captions))
    report.compare_exactly(
        "tokenizer/ids_and_back",
        tokenizer.detokenize(ids).numpy().tolist(),
        [" ".join(row).encode() for row in tokens],
    )


def main(folder: str) -> int:
    """Compares a folder, prints a summary, and returns the exit status."""
    report = check_folder(folder)
    print(
        f"{len(report.lines)} quantities, {len(report.failures)} failed, "
        f"{len(report.gaps)} not compared"
    )
    return 0 if report.passed else 1


if __name__ == "__main__":
    commands.run(main, operands=["FOLDER"])
