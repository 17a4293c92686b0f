"""Opens judges, real images and the truth about them, for whatever data set it is."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from mirrorgan_tf.birdlets.attribute_classifier import OracleJudge, oracle_size
from mirrorgan_tf.birdlets.caption_attributes import Truth
from mirrorgan_tf.birdlets.classifier_training import (
    held_out_accuracy,
    obtain_oracle,
    read_labelled,
)
from mirrorgan_tf.birdlets.dataset import MANIFEST
from mirrorgan_tf.birdlets.truth import read_claims, read_codes
from mirrorgan_tf.data.bad_examples import data_errors
from mirrorgan_tf.data.pipeline import make_dataset
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.feature_extractors import DamsmJudge, StreamJudge
from mirrorgan_tf.evaluation.features import Judge
from mirrorgan_tf.evaluation.inception import InceptionJudge
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.workdir import open_image_encoder

__all__ = ["judge_openers", "real_reader", "truth_of"]


def judge_openers(
    run: MirrorGAN | None,
    *,
    data_dir: Path,
    side_px: int,
    oracle_folder: Path,
    inception_weights: str,
) -> dict[str, Callable[[], Judge]]:
    """What opens each judge, or raises UserError to say why it can't.

    Args:
        run: whose DAMSM and STREAM judge; None: neither does.
        data_dir: birdlets, for the oracle.
        side_px: of the images that are judged.
        oracle_folder: where the oracle is kept; it is trained if it is not there.
        inception_weights: see `InceptionJudge`.
    """

    def needed():
        if run is None:
            raise UserError("it needs DAMSM and STREAM; give --workdir")
        return run

    def damsm():
        run = needed()
        return DamsmJudge(open_image_encoder(run), run.stem, run.tokenizer)

    def stream():
        if needed().stream is None:
            raise UserError("it needs STREAM, and the run has none; train stage stream")
        return StreamJudge(run.stream, run.tokenizer)

    def oracle():
        size = oracle_size(side_px)
        oracle = obtain_oracle(oracle_folder, data_dir, size, seed=1)
        held_out = read_labelled(data_dir, "val", size)
        return OracleJudge(oracle, held_out_accuracy(oracle, held_out))

    return {
        "damsm": damsm,
        "stream": stream,
        "oracle": oracle,
        "inception": lambda: InceptionJudge(inception_weights),
    }


def real_reader(
    side_px: int,
) -> Callable[[CaptionedImages], Callable[[int, int], Iterable[np.ndarray]]]:
    """How real images are read: as in validation, their middle crop.

    Returns:
        An index to (size, start) to batches (size, side_px, side_px, 3) uint8.
    """
    # The pipeline reads captions too; these know no word.
    tokenizer = CaptionTokenizer(Vocabulary(()), 1)

    def batches_of(index):
        def batches(size, start):
            dataset = make_dataset(
                index,
                tokenizer,
                sizes=(side_px,),
                batch_size=size,
                seed=0,
                training=False,
                start_step=start // size,
                max_words=1,
            )
            with data_errors():
                for batch in dataset:
                    yield to_uint8(batch["images"][-1]).numpy()

        return batches

    return batches_of


def truth_of(data_dir: str | Path, index: CaptionedImages) -> Truth | None:
    """What is true of a validation split, if the set is birdlets; else None."""
    if not (Path(data_dir) / MANIFEST).is_file():
        return None
    return Truth(
        claims=read_claims(data_dir, "val"),
        codes=read_codes(data_dir, "val", index.image_ids),
    )
