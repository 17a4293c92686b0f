import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config
from mirrorgan_tf.training.checkpoints import saved_step
from mirrorgan_tf.training.distribution import global_mean
from mirrorgan_tf.training.loop import compile_step, run_stage


class Line:
    """Fits y = a · x; the loss is NaN from step `breaks_at` on."""

    name = "line"

    def __init__(self, breaks_at=None):
        self.model = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")]
        )
        self.optimizer = keras.optimizers.Adam(0.1)
        self.optimizer.build(self.model.trainable_variables)
        self.checkpointed = {"model": self.model, "optimizer": self.optimizer}
        self.breaks_at = breaks_at
        self.traces = 0

    def step(self, batch, step):
        self.traces += 1
        with tf.GradientTape() as tape:
            error = self.model(batch) - 3 * batch
            loss = global_mean(error**2)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        if self.breaks_at is not None:
            loss = tf.where(step >= self.breaks_at, np.nan, loss)
        return {"square": loss, "sound": loss * 0 if self.breaks_at is None else 0.0}


def _data(start):
    numbers = np.random.default_rng(0).normal(size=(100, 4, 1)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices(numbers).skip(start)


def _run(stage, workdir, steps, **settings):
    config = Config(log_every=3, checkpoint_every=4, picture_every=5, **settings)
    shown = []

    def observe():
        shown.append(1)
        return {"one": 1.0}, {"dot": np.zeros((4, 4, 3), np.uint8)}

    run_stage(
        stage,
        config=config,
        strategy=tf.distribute.OneDeviceStrategy("/cpu:0"),
        workdir=workdir,
        steps=steps,
        batch_size=4,
        make_dataset=_data,
        observe=observe,
    )
    return shown


def test_interrupted_training_ends_where_a_straight_one_does(tmp_path):
    straight, first, second = Line(), Line(), Line()
    _run(straight, tmp_path / "straight", 20)
    _run(first, tmp_path / "two", 9)
    _run(second, tmp_path / "two", 20)
    for a, b in zip(
        straight.model.get_weights(), second.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert saved_step(tmp_path / "two" / "line") == 20


def test_pictures_and_event_files_are_written(tmp_path):
    shown = _run(Line(), tmp_path, 12)
    assert len(shown) == 4  # steps 1, 5, 10 and the last
    assert len(list((tmp_path / "pictures").glob("line_dot_*.png"))) == 4
    assert list((tmp_path / "logs" / "line").glob("events*"))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(UserError, match=r"line: loss square is not finite at step 7;"):
        _run(Line(breaks_at=6), tmp_path, 20)
    assert saved_step(tmp_path / "line") == 4
    taken_up = Line()
    _run(taken_up, tmp_path, 5)
    assert np.isfinite(taken_up.model.get_weights()[0]).all()


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    _run(Line(), tmp_path, 4)
    other = Line()
    other.model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    other.checkpointed = {"model": other.model, "optimizer": other.optimizer}
    with pytest.raises(UserError, match="checkpoint is of other networks"):
        _run(other, tmp_path, 8)


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path):
    _run(Line(), tmp_path, 4)
    for path in (tmp_path / "line").glob("ckpt-*.data*"):
        path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(UserError, match="cannot be read"):
        _run(Line(), tmp_path, 8)


def test_the_step_is_traced_once():
    stage = Line()
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        step = tf.Variable(0, dtype=tf.int64)
    train_step = compile_step(stage, strategy, step, jit=False)
    batches = iter(strategy.experimental_distribute_dataset(_data(0)))
    for _ in range(5):
        train_step(batches)
    assert stage.traces == 1
    assert step.numpy() == 5
