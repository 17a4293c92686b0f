"""Keeps the weights that did best on the validation split, and knows when to stop.

Of several workers all decide by the first one's figures: their own differ by rounding,
and a worker that stopped alone would leave the others waiting for it.
"""

import json
from pathlib import Path

import tensorflow as tf
from absl import logging

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes, write_whole
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.distribution import make_agreement

__all__ = ["Best"]

_FACTS_FILE = "best.json"


class Best:
    """The best so far of one stage, in a folder beside its checkpoints.

    A figure as good as the best counts as better: with a falling learning rate the
    later weights are the steadier ones.
    """

    def __init__(
        self,
        folder: Path,
        objects: dict,
        *,
        figure: str,
        lowest: bool,
        patience_steps: int,
    ):
        """Reads what `folder` holds; every worker calls it in the strategy's scope.

        Args:
            folder: of this stage's best.
            objects: what a checkpoint of the stage holds.
            figure: name of the validation figure.
            lowest: whether less of it is better.
            patience_steps: steps without a better figure after which to stop; 0:
                never.
        """
        self._folder = folder
        self._checkpoints = StageCheckpoints(folder, objects, keep=1)
        self._figure = figure
        self._lowest = lowest
        self._patience_steps = patience_steps
        strategy = tf.distribute.get_strategy()
        self._agree = make_agreement(strategy)
        self._facts = self._agree_on_facts(self._read())
        # Of several workers the first.
        self._writes = strategy.extended.should_checkpoint

    def consider(self, figures: dict[str, float], step: int) -> bool:
        """Keeps the weights as they are if they are the best; True: time to stop.

        Every worker calls it, with figures of its own.
        """
        value = self._agree(figures[self._figure])
        if self._facts is None or self._is_better(value):
            self._facts = {"step": step, self._figure: value}
            self._checkpoints.step.assign(step)
            self._checkpoints.save()
            if self._writes:
                # Last: what it tells of is there.
                write_whole(self._folder / _FACTS_FILE, json.dumps(self._facts))
        waited = step - self._facts["step"]
        return 0 < self._patience_steps <= waited

    def take(self) -> None:
        """Puts the best weights in place of those there are; every worker calls it."""
        if self._facts is None:
            return
        # The first worker has written them once all have come here.
        self._agree(0)
        self._checkpoints.restore()
        logging.info(
            "%s: taking step %d, the best by %s (%.4f)",
            self._folder.parent.name,
            self._facts["step"],
            self._figure,
            self._facts[self._figure],
        )

    def _is_better(self, value):
        best = self._facts[self._figure]
        return value <= best if self._lowest else value >= best

    def _agree_on_facts(self, facts):
        """The first worker's: a shared folder may show another worker an old file."""
        none_yet = {"step": 0, self._figure: 0.0}
        step, value = map(self._agree, (facts or none_yet).values())
        return {"step": int(step), self._figure: value} if step else None

    def _read(self):
        path = self._folder / _FACTS_FILE
        if not path.exists():
            return None
        try:
            facts = json.loads(read_bytes(path))
            return {"step": int(facts["step"]), self._figure: facts[self._figure]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: cannot be read ({error}); move {self._folder} away, then "
                "the best is looked for from now on"
            ) from None
