"""Validation figures and pictures of each stage.

Each observer uses a fixed batch of the validation split.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.losses.caption import append_end, mean_word_loss
from mirrorgan_tf.losses.damsm import sentence_similarity
from mirrorgan_tf.models.label_classifier import LabelClassifier
from mirrorgan_tf.models.redescription import greedy
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.pictures import (
    attention_sheet,
    caption_grid,
    heat_map,
    save_image,
)
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text_to_image import TextToImage
from mirrorgan_tf.training.captions import first_captions
from mirrorgan_tf.training.distribution import global_mean
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.progress import warn_if_unwritable
from mirrorgan_tf.training.stage import Observation, Observer
from mirrorgan_tf.training.stem_stage import StemStage

__all__ = [
    "BackboneObserver",
    "GlamObserver",
    "StemObserver",
    "StreamObserver",
    "save_data_picture",
]

_GRID_IMAGES = 16
_MAX_ATTENTION_WORDS = 15


def save_data_picture(batch: dict, workdir: Path) -> Path | None:
    """Saves training images with the captions chosen for them.

    Returns:
        The PNG; None if it could not be written.
    """
    sheet = caption_grid(
        _grid_images(batch), _texts(batch["captions"][:_GRID_IMAGES, 0])
    )
    path = workdir / "pictures" / "data.png"
    with warn_if_unwritable(path):
        save_image(sheet, path)
        with tf.summary.create_file_writer(str(workdir / "logs")).as_default():
            tf.summary.image("data", sheet[None], step=0)
        return path
    return None


class BackboneObserver(Observer):
    """Labels that the backbone predicts for one validation batch."""

    best_figure = "val_accuracy"

    def __init__(
        self,
        classifier: LabelClassifier,
        batch: dict,
        codes: Mapping[str, np.ndarray],
        labels: Mapping[str, Sequence[str]],
        *,
        every: int,
    ):
        """Takes one validation batch, its true labels and their values' names."""
        self.every = every
        self._batch, self._codes, self._labels = batch, codes, labels

        @tf.function(autograph=False)
        def predict():
            return {
                label: tf.argmax(logits, axis=1)
                for label, logits in classifier(batch["images"][-1]).items()
            }

        self._predict = predict

    def __call__(self) -> Observation:
        """Accuracy of all labels and of each; images with their wrong labels."""
        predicted = {label: codes.numpy() for label, codes in self._predict().items()}
        accuracy = {
            f"val_{label}": float(np.mean(codes == self._codes[label]))
            for label, codes in predicted.items()
        }
        rows = range(min(_GRID_IMAGES, len(self._batch["index"])))
        picture = caption_grid(
            _grid_images(self._batch),
            [self._mistakes(predicted, row) for row in rows],
        )
        mean = float(np.mean(list(accuracy.values())))
        return {self.best_figure: mean} | accuracy, {"misread": picture}

    def _mistakes(self, predicted, row):
        return "\n".join(
            f"{label}: {values[predicted[label][row]]} ({values[true_code]})"
            for label, values in self._labels.items()
            if predicted[label][row] != (true_code := self._codes[label][row])
        )


class StemObserver(Observer):
    """Similarity of all captions with all images of one validation batch."""

    def __init__(self, stage: StemStage, batch: dict, *, every: int):
        """Takes one validation batch."""
        self.every = every
        self.best_figure = f"val_top1_of_{len(batch['index'])}"

        @tf.function(autograph=False)
        def similarities():
            _, sentence, _ = stage.stem(**first_captions(batch["text"]))
            _, code = stage.image_encoder(batch["images"][-1])
            return sentence_similarity(code, sentence, gamma3=1.0)

        self._similarities = similarities

    def __call__(self) -> Observation:
        """Share of images with their own caption as the nearest, and the matrix."""
        cosines = self._similarities().numpy()
        correct = cosines.argmax(axis=1) == np.arange(len(cosines))
        picture = caption_grid(
            [heat_map((cosines + 1) / 2)],
            [f"cosine of image (row) and caption (column), {len(cosines)} of each"],
            image_px=480,
        )
        return {self.best_figure: float(correct.mean())}, {"similarity": picture}


class StreamObserver(Observer):
    """STREAM's captions of one validation batch of real images."""

    best_figure, lowest_is_best = "val_cross_entropy", True

    def __init__(
        self, stream: Stream, batch: dict, tokenizer: CaptionTokenizer, *, every: int
    ):
        """Takes one validation batch."""
        self.every = every
        self._batch = batch
        self._tokenizer = tokenizer
        ids, lengths = append_end(
            *first_captions((batch["caption_ids"], batch["caption_lengths"]))
        )

        @tf.function(autograph=False)
        def caption():
            features = stream.encoder(batch["images"][-1])
            own, others = (
                # Outside the strategy the share of the one replica is the mean.
                mean_word_loss(
                    stream.decoder(image_features, ids), ids, lengths, mean=global_mean
                )
                for image_features in (features, tf.roll(features, 1, axis=0))
            )
            return own, others, greedy(stream.decoder, features, tokenizer.max_words)

        self._caption = caption

    def __call__(self) -> Observation:
        """Cross entropies given the right and given another image, and captions.

        Their difference shows how much STREAM learns from the image.
        """
        own, others, caption_ids = self._caption()
        picture = caption_grid(
            _grid_images(self._batch),
            _texts(self._tokenizer.detokenize(caption_ids[:_GRID_IMAGES])),
        )
        return {
            self.best_figure: float(own),
            "val_cross_entropy_other_image": float(others),
        }, {"captions": picture}


class GlamObserver(Observer):
    """Images of the averaged generator for validation captions."""

    def __init__(
        self, stage: GlamStage, batch: dict, tokenizer: CaptionTokenizer, *, every: int
    ):
        """Takes one validation batch; its noise is fixed."""
        self.every = every
        self._tokenizer = tokenizer
        captions = batch["captions"][:_GRID_IMAGES, 0]
        self._captions = _texts(captions)
        text_to_image = TextToImage(tokenizer, stage.stem, stage.glam_ema, stage.stream)
        seeds = tf.range(len(self._captions), dtype=tf.int64)

        @tf.function(autograph=False)
        def generate():
            outputs = text_to_image.describe(captions, seeds)
            outputs["redescription"] = tokenizer.detokenize(
                outputs["redescription_ids"]
            )
            outputs["images"] = [to_uint8(images) for images in outputs["images"]]
            return outputs

        self._generate = generate

    def __call__(self) -> Observation:
        """Samples with redescriptions, all scales of four, the attention of one."""
        outputs = self._generate()
        images = [scale.numpy() for scale in outputs["images"]]
        redescriptions = _texts(outputs["redescription"])
        texts = [
            f"{caption}\nreads: {redescription}"
            for caption, redescription in zip(
                self._captions, redescriptions, strict=True
            )
        ]
        pictures = {
            "samples": caption_grid(images[-1], texts),
            "scales": caption_grid(
                [[scale[i] for scale in images] for i in range(min(4, len(texts)))],
                self._captions[:4],
                columns=2,
            ),
        }
        if outputs["word_attention"]:
            length = min(int(outputs["lengths"][0]), _MAX_ATTENTION_WORDS)
            pictures["attention"] = attention_sheet(
                images[-1][0],
                outputs["word_attention"][-1][0].numpy(),
                _texts(self._tokenizer.detokenize(outputs["ids"][0, :length, None])),
            )
        return {}, pictures


def _grid_images(batch):
    return to_uint8(batch["images"][-1][:_GRID_IMAGES]).numpy()


def _texts(strings):
    return [text.decode() for text in strings.numpy()]
