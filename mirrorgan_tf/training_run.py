"""A training: opens the data, then trains the stages of a run one after the other.

Stages stem, stream and glam in order, before them backbone if the run has one. Finished
stages are left out; a stage that was interrupted continues from its last checkpoint.
"""

# Before Keras and TensorFlow.
import mirrorgan_tf.keras_settings  # noqa: F401

# isort: split
import contextlib
import functools
import shlex
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from mirrorgan_tf import networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.bad_examples import BadExamples
from mirrorgan_tf.data.captions import tokenize_captions
from mirrorgan_tf.data.images import decode_images
from mirrorgan_tf.data.pipeline import make_dataset
from mirrorgan_tf.data.registry import find_dataset
from mirrorgan_tf.data.sources import choose_vocabulary, open_dataset
from mirrorgan_tf.data.verdict import announce, examine
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.ops.selection import set_kernels
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.tf32 import describe_float32, use_tf32
from mirrorgan_tf.training import observers
from mirrorgan_tf.training.backbone_stage import BackboneStage
from mirrorgan_tf.training.captions import with_encoder_text
from mirrorgan_tf.training.checkpoints import restore_part, saved_step
from mirrorgan_tf.training.distribution import (
    check_batch_size,
    make_strategy,
    make_vote,
    num_workers,
)
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.loop import run_stage
from mirrorgan_tf.training.memory import memory_errors
from mirrorgan_tf.training.precision import set_mixed_precision
from mirrorgan_tf.training.progress import Callback, write_hyperparameters
from mirrorgan_tf.training.signals import StopSignals
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage
from mirrorgan_tf.workdir import VOCABULARY_FILE, lock_workdir, start_workdir

_OBSERVED_IMAGES = 100
# Stages that use --accumulate_steps.
_ACCUMULATING = ("stream", "glam")


class Training:
    """One run: its data and its stages."""

    def __init__(
        self,
        config: Config,
        workdir: Path,
        strategy: tf.distribute.Strategy,
        signals: StopSignals | None = None,
        callbacks: Sequence[Callback] = (),
    ):
        """Opens the data set (birdlets are drawn if needed) and the vocabulary."""
        self.config = config
        self.workdir = workdir
        self.strategy = strategy
        self.signals = signals
        self.callbacks = callbacks
        self.dataset = find_dataset(config)
        self._check_dataset()
        self.splits = open_dataset(config)
        self.vocabulary = self._open_vocabulary()
        announce(examine(self.splits, self.vocabulary, config.text.max_words))
        # After the checks: a refused training must not leave a vocabulary behind.
        if not (workdir / VOCABULARY_FILE).exists():
            self.vocabulary.save(workdir / VOCABULARY_FILE)
        self.tokenizer = CaptionTokenizer(self.vocabulary, config.text.max_words)
        self.bad_examples = {
            split: BadExamples(index, config.data.on_bad_example)
            for split, index in self.splits.items()
        }
        for bad_examples in self.bad_examples.values():
            bad_examples.check()
        self.captions = {
            split: tokenize_captions(index, self.tokenizer)
            for split, index in self.splits.items()
        }
        logging.info(
            "%d training and %d validation images, %d words, %d replica(s), float32 "
            "multiplied in %s",
            len(self.splits["train"]),
            len(self.splits["val"]),
            len(self.vocabulary),
            self.strategy.num_replicas_in_sync,
            describe_float32(),
        )

    def _check_dataset(self):
        name = self.config.data.dataset
        if "backbone" in self.config.stages and not self.dataset.label_values:
            raise UserError(
                "--image_encoder_weights=backbone: stage backbone learns labels, and "
                f"--dataset={name} has none; choose imagenet, none or a weights file"
            )
        if self.config.data.flip and self.dataset.tells_left_from_right:
            logging.warning(
                "--flip: captions of %s say left and right, which mirrored images "
                "contradict; --noflip switches mirroring off",
                name,
            )

    def run(self, stage: str) -> None:
        """Trains one stage to its end.

        Raises:
            UserError: data or checkpoints do not allow it.
            Stopped: a signal has arrived; a checkpoint is written.
        """
        settings = self.config.stage(stage)
        # Read the data before the stage is built, outside the strategy's scope.
        observed, cache = self._observed, self._cache
        build = {
            "backbone": self._build_backbone,
            "stem": self._build_stem,
            "stream": self._build_stream,
            "glam": self._build_glam,
        }[stage]
        # A stage starts the same way, whatever was trained before it in this process.
        keras.utils.set_random_seed(self.config.run.seed)
        with self.strategy.scope():
            stage_object, stage_observers = build(observed)
            if self.config.run.init_from and not saved_step(self.workdir / stage):
                self._initialization.initialize(stage_object, self.vocabulary)
        if stage == "glam" and self.config.run.evaluate_every:
            stage_observers.append(self._fid_observer(stage_object))
        captions = {
            "stem": self.config.stem.captions,
            "stream": self.config.stream.captions,
        }

        def make_batches(start_step, seed, input_context):
            dataset = self._dataset(
                "train",
                sizes=self.config.sizes if stage == "glam" else self.config.sizes[-1:],
                batch_size=settings.batch_size,
                seed=seed,
                start_step=start_step,
                captions_each=captions.get(stage, 1),
                cache=cache,
                input_context=input_context,
            )
            return dataset.map(self._with_encoder_text)

        run_stage(
            stage_object,
            config=self.config,
            strategy=self.strategy,
            workdir=self.workdir,
            steps=settings.steps,
            batch_size=settings.batch_size,
            make_dataset=make_batches,
            observers=stage_observers,
            signals=self.signals,
            callbacks=self.callbacks,
        )

    def save_data_picture(self) -> None:
        """Saves a picture of training images with their captions."""
        dataset = self._dataset(
            "train",
            sizes=self.config.sizes[-1:],
            batch_size=min(16, len(self.splits["train"])),
            seed=self.config.run.seed,
        )
        batch = next(iter(dataset))
        path = observers.save_data_picture(batch, self.workdir)
        if path is not None:
            logging.info("training images with captions: %s", path)

    def _build_backbone(self, observed):
        codes = {
            split: self.dataset.read_labels(split, index.image_ids)
            for split, index in self.splits.items()
        }
        label_values = self.dataset.label_values
        classifier = networks.build_label_classifier(self.config, label_values)
        stage = BackboneStage(self.config, classifier, codes["train"])
        rows = observed["index"].numpy()
        observer = observers.BackboneObserver(
            classifier,
            observed,
            {label: values[rows] for label, values in codes["val"].items()},
            label_values,
            every=self.config.run.picture_every,
        )
        return stage, [observer]

    def _build_stem(self, observed):
        encoder = networks.build_image_encoder(self.config)
        if self.config.encoders.image_encoder_weights == "backbone":
            classifier = networks.build_label_classifier(
                self.config, self.dataset.label_values
            )
            restore_part(self.workdir / "backbone", {"classifier": classifier})
            encoder.backbone.set_weights(classifier.backbone.get_weights())
        stage = StemStage(
            self.config,
            networks.build_text_encoder(self.config, len(self.vocabulary) + 1),
            encoder,
        )
        every = self.config.run.picture_every
        return stage, [observers.StemObserver(stage, observed, every=every)]

    def _build_stream(self, observed):
        stream = networks.build_stream(self.config, len(self.vocabulary) + 1)
        if self.config.encoders.stream_encoder_weights == "stem":
            encoder = networks.build_image_encoder(self.config)
            restore_part(self.workdir / "stem", {"image_encoder": encoder})
            stream.encoder.backbone.set_weights(encoder.backbone.get_weights())
        stage = StreamStage(self.config, stream)
        observer = observers.StreamObserver(
            stream, observed, self.tokenizer, every=self.config.run.picture_every
        )
        return stage, [observer]

    def _build_glam(self, observed):
        stage = GlamStage.from_config(self.config, len(self.vocabulary) + 1)
        restore_part(
            self.workdir / "stem",
            {"stem": stage.stem, "image_encoder": stage.image_encoder},
        )
        restore_part(self.workdir / "stream", {"stream": stage.stream})
        observer = observers.GlamObserver(
            stage, observed, self.tokenizer, every=self.config.run.picture_every
        )
        return stage, [observer]

    def _fid_observer(self, stage):
        # Importing the evaluation takes seconds.
        from mirrorgan_tf.fid_observer import FidObserver

        return FidObserver(
            stage,
            self.tokenizer,
            self.splits,
            networks_folder=self.workdir / "evaluation_networks",
            every=self.config.run.evaluate_every,
            computes=self.strategy.extended.should_checkpoint,
        )

    def _dataset(self, split, **options):
        return make_dataset(
            self.splits[split],
            self.captions[split],
            training=split == "train",
            max_words=self.config.text.max_words,
            flip=self.config.data.flip,
            bad_examples=self.bad_examples[split],
            **options,
        )

    def _with_encoder_text(self, batch):
        text_inputs = networks.text_encoder_class(self.config).text_inputs
        return with_encoder_text(batch, text_inputs)

    @functools.cached_property
    def _initialization(self):
        """The model of `--init_from`, for all stages."""
        from mirrorgan_tf.initialization import Initialization

        return Initialization(self.config.run.init_from)

    @functools.cached_property
    def _cache(self):
        """The training images in memory, or None: read from disk each time."""
        if not self.config.data.cache_images:
            return None
        return decode_images(
            self.splits["train"], self.config.sizes[-1], self.bad_examples["train"]
        )

    @functools.cached_property
    def _observed(self):
        """The validation batch of all observers."""
        dataset = self._dataset(
            "val",
            sizes=self.config.sizes,
            batch_size=_OBSERVED_IMAGES,
            seed=self.config.run.seed,
        )
        batch = next(iter(dataset))
        return batch | self._with_encoder_text(batch)

    def _open_vocabulary(self):
        path = self.workdir / VOCABULARY_FILE
        if not path.exists():
            return choose_vocabulary(self.config, self.splits)
        vocabulary, official = Vocabulary.load(path), self.config.text.captions_pickle
        if official and Vocabulary.from_captions_pickle(official) != vocabulary:
            raise UserError(
                f"--captions_pickle={official}: not the words of {path}, which this "
                "run began with; leave the flag out or choose another --workdir"
            )
        return vocabulary


def prepare_devices(config: Config) -> tf.distribute.Strategy:
    """Applies the settings of precision and determinism; returns the strategy."""
    if config.run.deterministic:
        keras.utils.set_random_seed(config.run.seed)
        tf.config.experimental.enable_op_determinism()
    use_tf32(config.run.tf32)
    set_kernels(config.run.kernels)
    networks.check_encoders(config)
    set_mixed_precision(config.run.mixed_precision)
    return make_strategy(config)


def check_batch_sizes(
    config: Config, stages: Sequence[str], strategy: tf.distribute.Strategy
) -> None:
    """Raises UserError if the replicas can't share a stage's batch."""
    for stage in stages:
        check_batch_size(
            f"{stage}_batch_size",
            config.stage(stage).batch_size,
            strategy,
            micro_batches=config.run.accumulate_steps if stage in _ACCUMULATING else 1,
        )


def train(
    config: Config,
    workdir: Path,
    chosen: Sequence[str],
    strategy: tf.distribute.Strategy,
    signals: StopSignals | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Trains stages of a run.

    Args:
        config: the settings of the run.
        workdir: its folder.
        chosen: names of the stages; empty trains those that are not finished.
        strategy: of `prepare_devices`.
        signals: what stops the training between two steps.
        callbacks: get the losses and figures that are logged.

    Raises:
        UserError: data, checkpoints or memory do not allow it.
        Stopped: a signal has arrived; a checkpoint is written.
    """
    # The first of several workers writes all files.
    chief = strategy.extended.should_checkpoint
    if not chief:
        logging.set_verbosity(logging.WARNING)
    with lock_workdir(workdir) if chief else contextlib.nullcontext():
        if chief:
            start_workdir(workdir, config)
            training = Training(config, workdir, strategy, signals, callbacks)
        if num_workers(strategy) > 1:
            # The others wait until the first has written the vocabulary.
            make_vote(strategy)(False)
        if not chief:
            training = Training(config, workdir, strategy, signals, callbacks)
        chosen, unfinished = _stages_to_train(config, workdir, chosen)
        if not set(chosen) & set(unfinished):
            if unfinished:
                left = ", ".join(unfinished)
                logging.info("trained already; left to train: %s", left)
            else:
                logging.info("nothing left to train in %s", workdir)
            return
        if chief:
            training.save_data_picture()
            write_hyperparameters(config, workdir)
        for stage in chosen:
            with memory_errors(stage):
                training.run(stage)
    left = [stage for stage in unfinished if stage not in chosen]
    logging.info("%s", _closing_line(workdir, left))


def _closing_line(workdir, left):
    """Says what to do next, as a command that can be pasted into a shell."""
    if left:
        return f"done; left to train: {', '.join(left)}"
    flag = shlex.quote(f"--workdir={workdir}")
    return f"done; try: mirrorgan generate {flag} 'a red bird with black wings'"


def _stages_to_train(config, workdir, chosen):
    """The stages to train, in order, and the stages that are not finished."""
    unfinished = [
        stage
        for stage in config.stages
        if saved_step(workdir / stage) < config.stage(stage).steps
    ]
    return [
        stage for stage in config.stages if stage in (chosen or unfinished)
    ], unfinished
