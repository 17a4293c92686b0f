"""Keeps the weights with the best validation figure, and detects the lack of progress.

With several workers all decide by the first one's figures: their own differ by
rounding, and if one worker stopped alone, the others would wait for it.
"""

import json
from pathlib import Path

import tensorflow as tf
from absl import logging

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes, write_atomically
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.distribution import make_agreement

__all__ = ["BestWeights"]

_RECORD_FILE = "best.json"


class BestWeights:
    """The best weights so far of one stage, in a folder beside its checkpoints.

    A figure equal to the best counts as better: with a falling learning rate the later
    weights are the steadier ones.
    """

    def __init__(
        self,
        folder: Path,
        objects: dict,
        *,
        figure: str,
        lowest: bool,
        every: int,
        patience: int,
    ):
        """Reads the record in `folder`; every worker calls it in the strategy's scope.

        Args:
            folder: of this stage's best weights.
            objects: what a checkpoint of the stage holds.
            figure: name of the validation figure.
            lowest: whether a lower figure is better.
            every: steps between two figures.
            patience: figures in a row without a better one after which to stop; 0:
                never.
        """
        self.every = every
        self._folder = folder
        self._checkpoints = StageCheckpoints(folder, objects, keep=1)
        self._figure = figure
        self._lowest = lowest
        self._patience_steps = patience * every
        strategy = tf.distribute.get_strategy()
        self._agree = make_agreement(strategy)
        self._record = self._agree_on_record(self._read())
        # Of several workers the first.
        self._writes = strategy.extended.should_checkpoint

    def consider(self, figures: dict[str, float], step: int) -> bool:
        """Keeps the present weights if they are the best; returns whether to stop.

        Every worker calls it, with its own figures.
        """
        value = self._agree(figures[self._figure])
        if self._record is None or self._is_better(value):
            self._record = {"step": step, self._figure: value}
            self._checkpoints.step.assign(step)
            self._checkpoints.save()
            if self._writes:
                # After the weights that it refers to.
                write_atomically(self._folder / _RECORD_FILE, json.dumps(self._record))
        steps_without_better = step - self._record["step"]
        return 0 < self._patience_steps <= steps_without_better

    def restore(self) -> None:
        """Loads the best weights into the stage; every worker calls it."""
        if self._record is None:
            return
        # A barrier: the first worker has written them when it ends.
        self._agree(0)
        self._checkpoints.restore()
        logging.info(
            "%s: taking step %d, the best by %s (%.4f)",
            self._folder.parent.name,
            self._record["step"],
            self._figure,
            self._record[self._figure],
        )

    def _is_better(self, value):
        best = self._record[self._figure]
        return value <= best if self._lowest else value >= best

    def _agree_on_record(self, record):
        """The first worker's: a shared folder may show another worker an old file."""
        none_yet = {"step": 0, self._figure: 0.0}
        step, value = map(self._agree, (record or none_yet).values())
        return {"step": int(step), self._figure: value} if step else None

    def _read(self):
        path = self._folder / _RECORD_FILE
        if not path.exists():
            return None
        try:
            record = json.loads(read_bytes(path))
            value = float(record[self._figure])
            return {"step": int(record["step"]), self._figure: value}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); move {self._folder} away: then the "
                "best weights are chosen from the steps that follow"
            ) from None
