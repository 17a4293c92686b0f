"""What the training loop requires of a stage and of an observer."""

import abc
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

__all__ = ["Observation", "Observer", "Stage"]

# Scalars and uint8 pictures (H, W, 3) by name, of the models as they are now.
Observation = tuple[dict[str, float], dict[str, np.ndarray]]


class Stage(abc.ABC):
    """One part of the training: networks and the step that updates them.

    Constructed inside the strategy's scope.

    Attributes:
        name: of the stage's folder, log lines and settings.
    """

    name: ClassVar[str]

    @property
    @abc.abstractmethod
    def checkpointed(self) -> dict[str, Any]:
        """The networks and optimizers that a checkpoint holds, by name.

        Keras models, optimizers, and lists of them. Checkpoints list their variables
        by order.
        """

    @abc.abstractmethod
    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates the networks on one replica's part of a batch.

        Args:
            batch: see `data.pipeline` and `training.captions`.
            seed: (2,) int32, the run's seed and the number of the step.

        Returns:
            This replica's shares of the losses by name.
        """

    def after_step(self, step: tf.Tensor) -> None:  # noqa: B027
        """What follows the update of all replicas, in cross-replica context.

        Args:
            step: scalar int64, updates before this one.
        """


class Observer(abc.ABC):
    """Validation figures and pictures of a stage.

    Attributes:
        every: steps between two observations; the last step is observed too.
        after_first_step: whether the first step is also observed.
        best_figure: name of the figure by which the best weights are kept; None: the
            last ones are.
        lowest_is_best: whether a lower figure is better.
    """

    every: int
    after_first_step: ClassVar[bool] = True
    best_figure: str | None = None
    lowest_is_best: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self) -> Observation:
        """Figures and pictures of the models as they are now."""
