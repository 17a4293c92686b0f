"""What a person sees of a stage: validation figures and pictures.

Each observer looks at a fixed batch of the validation split.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.losses.damsm import sentence_similarity
from mirrorgan_tf.mirrorgan import TextToImage, seeded_noise
from mirrorgan_tf.models.redescription import greedy
from mirrorgan_tf.pictures import (
    attention_sheet,
    caption_grid,
    heat_map,
    save_image,
)
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.training.backbone_stage import BackboneStage
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.progress import Observation, tolerant
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage, redescription_loss

__all__ = [
    "BackboneObserver",
    "GlamObserver",
    "StemObserver",
    "StreamObserver",
    "show_data",
]

_GRID = 16
_SHOWN_WORDS = 15
_SEED = 0


def show_data(batch: dict, workdir: Path) -> Path | None:
    """Draws training images with the captions drawn for them.

    Returns:
        The PNG; None if it could not be written.
    """
    sheet = caption_grid(
        to_uint8(batch["images"][-1][:_GRID]).numpy(), _texts(batch["caption"][:_GRID])
    )
    path = workdir / "pictures" / "data.png"
    with tolerant(path):
        save_image(sheet, path)
        with tf.summary.create_file_writer(str(workdir / "logs")).as_default():
            tf.summary.image("data", sheet[None], step=0)
        return path
    return None


class BackboneObserver:
    """What the backbone reads of one validation batch."""

    judged_by, lowest_is_best = "val_accuracy", False

    def __init__(
        self,
        stage: BackboneStage,
        batch: dict,
        truth: Mapping[str, np.ndarray],
        values: Mapping[str, Sequence[str]],
    ):
        """Takes one validation batch.

        Args:
            stage: that trains it.
            batch: B images of the pipeline.
            truth: label -> (B,) codes.
            values: label -> what the codes stand for.
        """
        self._batch, self._truth, self._values = batch, truth, values
        classifier = stage.classifier

        @tf.function(autograph=False)
        def read():
            return {
                label: tf.argmax(logits, axis=1)
                for label, logits in classifier(batch["images"][-1]).items()
            }

        self._read = read

    def __call__(self) -> Observation:
        """Share of labels that are read right, all and each; images with mistakes."""
        read = {label: codes.numpy() for label, codes in self._read().items()}
        right = {
            f"val_{label}": float(np.mean(codes == self._truth[label]))
            for label, codes in read.items()
        }
        picture = caption_grid(
            to_uint8(self._batch["images"][-1][:_GRID]).numpy(),
            [
                self._mistakes(read, i)
                for i in range(min(_GRID, len(self._batch["index"])))
            ],
        )
        mean = float(np.mean(list(right.values())))
        return {self.judged_by: mean} | right, {"misread": picture}

    def _mistakes(self, read, row):
        return "\n".join(
            f"{label}: {values[read[label][row]]} ({values[truth]})"
            for label, values in self._values.items()
            if read[label][row] != (truth := self._truth[label][row])
        )


class StemObserver:
    """Which caption fits which image, on one validation batch."""

    lowest_is_best = False

    def __init__(self, stage: StemStage, batch: dict):
        """Takes one validation batch; nothing of it is random."""
        self._batch = batch

        @tf.function(autograph=False)
        def similarities():
            _, sentence = stage.stem(batch["ids"], batch["lengths"])
            _, code = stage.image_encoder(batch["images"][-1])
            return sentence_similarity(code, sentence, gamma3=1.0)

        self._similarities = similarities
        self.judged_by = f"val_top1_of_{len(batch['ids'])}"

    def __call__(self) -> Observation:
        """Share of images whose own caption is the nearest, and the matrix."""
        cosines = self._similarities().numpy()
        right = cosines.argmax(axis=1) == np.arange(len(cosines))
        picture = caption_grid(
            [heat_map((cosines + 1) / 2)],
            [f"cosine of image (row) and caption (column), {len(cosines)} of each"],
            image_px=480,
        )
        return {self.judged_by: float(right.mean())}, {"similarity": picture}


class StreamObserver:
    """What STREAM says of real validation images."""

    judged_by, lowest_is_best = "val_cross_entropy", True

    def __init__(self, stage: StreamStage, batch: dict, tokenizer: CaptionTokenizer):
        """Takes one validation batch; nothing of it is random."""
        self._batch = batch
        self._tokenizer = tokenizer
        stream = stage.stream

        @tf.function(autograph=False)
        def look():
            images = batch["images"][-1]
            captions = {"ids": batch["ids"], "lengths": batch["lengths"]}
            # One replica's share is the whole: this runs outside the strategy.
            own = redescription_loss(stream, images, **captions, with_end=True)
            images_rolled = tf.roll(images, 1, axis=0)
            other = redescription_loss(stream, images_rolled, **captions, with_end=True)
            said = greedy(stream.decoder, stream.encoder(images), tokenizer.max_words)
            return own, other, said

        self._look = look

    def __call__(self) -> Observation:
        """Cross entropy of own and of other images' captions; images captioned.

        What lies between the two is what STREAM sees in an image.
        """
        own, other, said = self._look()
        picture = caption_grid(
            to_uint8(self._batch["images"][-1][:_GRID]).numpy(),
            _texts(self._tokenizer.detokenize(said[:_GRID])),
        )
        return {
            self.judged_by: float(own),
            "val_cross_entropy_other_image": float(other),
        }, {"captions": picture}


class GlamObserver:
    """What the averaged generator makes of validation captions."""

    def __init__(self, stage: GlamStage, batch: dict, tokenizer: CaptionTokenizer):
        """Takes one validation batch; its noise is fixed."""
        self._tokenizer = tokenizer
        self._captions = _texts(batch["caption"][:_GRID])
        text_to_image = TextToImage(tokenizer, stage.stem, stage.glam_ema)
        stream = stage.stream
        captions = batch["caption"][:_GRID]
        seeds = tf.range(len(self._captions), dtype=tf.int64) + _SEED

        @tf.function(autograph=False)
        def make():
            made = text_to_image(captions, seeded_noise(seeds, text_to_image.noise_dim))
            made["said"] = tokenizer.detokenize(
                greedy(
                    stream.decoder,
                    stream.encoder(made["images"][-1]),
                    tokenizer.max_words,
                )
            )
            made["images"] = [to_uint8(images) for images in made["images"]]
            return made

        self._make = make

    def __call__(self) -> Observation:
        """Grid with redescriptions, all scales of a few, attention of one."""
        made = self._make()
        images = [scale.numpy() for scale in made["images"]]
        texts = [
            f"{caption}\nreads: {said}"
            for caption, said in zip(self._captions, _texts(made["said"]), strict=True)
        ]
        pictures = {
            "samples": caption_grid(images[-1], texts),
            "scales": caption_grid(
                [[scale[i] for scale in images] for i in range(min(4, len(texts)))],
                self._captions[:4],
                columns=2,
            ),
        }
        if made["word_attention"]:
            length = min(int(made["lengths"][0]), _SHOWN_WORDS)
            pictures["attention"] = attention_sheet(
                images[-1][0],
                made["word_attention"][-1][0].numpy(),
                _texts(self._tokenizer.detokenize(made["ids"][0, :length, None])),
            )
        return {}, pictures


def _texts(strings):
    return [text.decode() for text in strings.numpy()]
