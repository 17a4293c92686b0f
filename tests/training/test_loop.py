import os
import signal
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.ops.adam import Adam
from mirrorgan_tf.training import loop
from mirrorgan_tf.training.checkpoints import saved_step
from mirrorgan_tf.training.distribution import global_mean
from mirrorgan_tf.training.loop import compile_step, run_stage
from mirrorgan_tf.training.signals import Stopped, StopSignals
from mirrorgan_tf.training.stage import Observer, Stage


class Line(Stage):
    """Fits y = a · x; with `breaks` the loss or the weights are NaN at some steps."""

    checkpointed = None

    name = "line"

    def __init__(self, breaks=None, broken="loss", optimizer=None):
        self.model = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")]
        )
        self.optimizer = optimizer or keras.optimizers.Adam(0.1)
        self.optimizer.build(self.model.trainable_variables)
        self.checkpointed = {"model": self.model, "optimizer": self.optimizer}
        self.breaks = breaks
        self.broken = broken
        self.traces = 0

    def step(self, batch, seed):
        self.traces += 1
        with tf.GradientTape() as tape:
            error = self.model(batch) - 3 * batch
            loss = global_mean(error**2)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        if self.breaks is not None:
            spoilt = tf.where(self.breaks(seed), np.nan, 0.0)
            if self.broken == "loss":
                loss += spoilt
            else:
                variables[0].assign_add(variables[0] * 0 + spoilt)
        return {"square": loss, "sound": loss * 0 if self.breaks is None else 0.0}


class Dots(Observer):
    """A constant figure and a black picture; counts its calls."""

    every = 5

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"one": 1.0}, {"dot": np.zeros((4, 4, 3), np.uint8)}


def _from_step(number, seed=None):
    """Steps count from 0; of one seed or of all."""
    return lambda seeds: (seeds[1] >= number) & (seed is None or seeds[0] == seed)


def _data(start, seed=0, input_context=None):
    numbers = np.random.default_rng(0).normal(size=(100, 4, 1)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices(numbers).skip(start)


def _run(
    stage,
    workdir,
    steps,
    *,
    observers=None,
    signals=None,
    data=_data,
    strategy=None,
    **settings,
):
    settings = {"log_every": 3, "checkpoint_every": 4} | settings
    dots = Dots()
    run_stage(
        stage,
        config=Config.from_flags(**settings),
        strategy=strategy or tf.distribute.OneDeviceStrategy("/cpu:0"),
        workdir=workdir,
        steps=steps,
        batch_size=4,
        make_dataset=data,
        observers=observers or [dots],
        signals=signals,
    )
    return dots.calls


def test_mirrored_and_one_device_strategies_restore_each_others_checkpoints(tmp_path):
    strategies = [
        tf.distribute.MirroredStrategy(["cpu:0"]),
        tf.distribute.OneDeviceStrategy("/cpu:0"),
    ]
    ends = []
    for name, order in ("mirrored first", strategies), ("last", strategies[::-1]):
        for steps, strategy in zip((9, 20), order, strict=True):
            with strategy.scope():
                stage = Line(optimizer=Adam(0.1))
            _run(stage, tmp_path / name, steps, strategy=strategy)
        ends.append(stage)
    straight = Line(optimizer=Adam(0.1))
    _run(straight, tmp_path / "straight", 20)
    expected = straight.model.variables + straight.optimizer.variables
    for stage in ends:
        variables = stage.model.variables + stage.optimizer.variables
        for a, b in zip(variables, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_step_compiled_by_xla_gives_the_weights_of_an_uncompiled_one(tmp_path):
    stages = []
    for jit in (False, True):
        stages.append(Line(optimizer=Adam(0.1)))
        _run(stages[-1], tmp_path / str(jit), 6, jit_compile=jit)
    plain, compiled = (stage.model.get_weights() for stage in stages)
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_worker_with_another_checkpoint_than_the_first_worker_is_refused(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "make_agreement", lambda strategy: lambda own: own + 4)
    with pytest.raises(UserError, match="of step 0 there, the first worker of step 4;"):
        _run(Line(), tmp_path, 20)


def test_finished_stage_is_not_trained_again(tmp_path):
    _run(Line(), tmp_path, 4)
    resumed = Line()
    assert _run(resumed, tmp_path, 3) == 0
    assert saved_step(tmp_path / "line") == 4


class Errors(Observer):
    """Returns figures that are set beforehand, and records the weights."""

    every = 5
    best_figure, lowest_is_best = "error", True

    def __init__(self, stage, figures):
        self.stage, self.figures, self.weights = stage, iter(figures), []

    def __call__(self):
        self.weights.append(self.stage.model.get_weights())
        return {"error": next(self.figures)}, {}


def test_best_weights_are_restored_at_the_end(tmp_path):
    stage = Line()
    # Of steps 1, which does not count, 5, 10, 15, 20, 22.
    errors = Errors(stage, [0.0, 3.0, 2.0, 1.0, 2.0, 2.0])
    _run(stage, tmp_path, 22, observers=[errors])
    for weight, best in zip(stage.model.get_weights(), errors.weights[3], strict=True):
        np.testing.assert_array_equal(weight, best)
    resumed = Line()
    _run(resumed, tmp_path, 22)
    for weight, best in zip(
        resumed.model.get_weights(), errors.weights[3], strict=True
    ):
        np.testing.assert_array_equal(weight, best)


def test_patience_ends_a_stage_early_and_permanently(tmp_path):
    stage = Line()
    errors = Errors(stage, [0.0, 3.0, 1.0, 2.0, 2.0])
    _run(stage, tmp_path, 100, observers=[errors], patience=2)
    assert len(errors.weights) == 5  # steps 1, 5, 10, 15, 20
    np.testing.assert_array_equal(stage.model.get_weights()[0], errors.weights[2][0])
    assert saved_step(tmp_path / "line") == 100


def test_best_weights_of_an_earlier_process_are_kept(tmp_path):
    first = Line()
    errors = Errors(first, [9.0, 1.0, 4.0])
    _run(first, tmp_path, 10, observers=[errors])
    second = Line()
    _run(second, tmp_path, 20, observers=[Errors(second, [9.0, 2.0, 3.0])])
    np.testing.assert_array_equal(second.model.get_weights()[0], errors.weights[1][0])


def test_pictures_and_event_files_are_written(tmp_path):
    calls = _run(Line(), tmp_path, 12)
    assert calls == 4  # steps 1, 5, 10 and the last
    assert len(list((tmp_path / "pictures").glob("line_dot_*.png"))) == 4
    assert list((tmp_path / "logs" / "line").glob("events*"))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("loss", "line: loss square is not finite at step 7;.*--on_nan=rollback"),
        ("weights", "line: model not finite at step 8;"),
    ],
)
def test_nan_stops_the_training_and_is_not_saved(tmp_path, broken, message):
    # The weights become NaN in the step of a checkpoint, after its loss was computed.
    begin = {"loss": 6, "weights": 7}[broken]
    with pytest.raises(UserError, match=message):
        _run(Line(_from_step(begin), broken), tmp_path, 20)
    assert saved_step(tmp_path / "line") == 4
    resumed = Line()
    _run(resumed, tmp_path, 5)
    assert np.isfinite(resumed.model.get_weights()[0]).all()


def test_rollback_continues_from_the_checkpoint_with_another_seed(tmp_path, caplog):
    calls = []

    def data(start, seed, input_context):
        calls.append((start, seed))
        return _data(start)

    stage = Line(_from_step(6, seed=1))
    _run(stage, tmp_path, 14, on_nan="rollback", seed=1, data=data)
    assert [start for start, _ in calls] == [0, 4]
    assert calls[0][1] == 1 != calls[1][1]
    assert "back to step 4 with a new seed (rollback 1 of 3)" in caplog.text
    assert saved_step(tmp_path / "line") == 14
    # A resumed run keeps the new seed.
    _run(Line(_from_step(6, seed=1)), tmp_path, 18, on_nan="rollback", data=data)
    assert calls[2] == (14, calls[1][1])


def test_rollback_before_the_first_checkpoint_restarts_the_stage(tmp_path):
    stage = Line(_from_step(1, seed=1))
    _run(stage, tmp_path, 6, on_nan="rollback", seed=1)
    assert saved_step(tmp_path / "line") == 6


def test_training_stops_after_max_rollbacks(tmp_path):
    message = r"at step 7 after 2 rollback\(s\);.* or raise --max_rollbacks"
    with pytest.raises(UserError, match=message):
        _run(Line(_from_step(6)), tmp_path, 20, on_nan="rollback", max_rollbacks=2)
    assert saved_step(tmp_path / "line") == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_finishes_the_step_saves_and_stops(tmp_path, number):
    class Killer(Dots):
        def __call__(self):
            os.kill(os.getpid(), number)
            return {}, {}

    before = signal.getsignal(number)
    with pytest.raises(Stopped), StopSignals() as signals:
        # The signal comes in the observation of the first step: the second is the last.
        _run(Line(), tmp_path / "two", 20, observers=[Killer()], signals=signals)
    assert signal.getsignal(number) == before
    assert saved_step(tmp_path / "two" / "line") == 2
    straight, second = Line(), Line()
    _run(straight, tmp_path / "straight", 20)
    _run(second, tmp_path / "two", 20)
    for a, b in zip(
        straight.model.get_weights(), second.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_signal_outside_a_stage_raises_at_once():
    with StopSignals() as signals:
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
        assert signals.requested
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        # No stage begins after the signal.
        with pytest.raises(Stopped), signals.deferred():
            pytest.fail("entered")


@pytest.mark.parametrize("blocked", ["logs", "pictures"])
def test_unwritable_log_does_not_stop_the_training(tmp_path, blocked, caplog):
    (tmp_path / blocked).write_text("no folder")
    _run(Line(), tmp_path, 8)
    assert saved_step(tmp_path / "line") == 8
    assert caplog.text.count("cannot be written, the training goes on without") == 1


def test_step_is_traced_once():
    stage = Line()
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        step = tf.Variable(0, dtype=tf.int64)
    train_step = compile_step(stage, strategy, step, jit=False)
    batches = iter(strategy.experimental_distribute_dataset(_data(0)))
    for _ in range(5):
        train_step(batches)
    assert stage.traces == train_step.experimental_get_tracing_count() == 1
    assert step.numpy() == 5


def test_stop_signals_can_be_entered_outside_the_main_thread():
    errors = []

    def enter():
        try:
            with StopSignals() as signals, signals.deferred():
                pass
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert not errors


def test_broken_record_of_the_best_weights_is_refused(tmp_path):
    first = Line()
    _run(first, tmp_path, 5, observers=[Errors(first, [9.0, 1.0])])
    record = tmp_path / "line" / "best" / "best.json"
    record.write_text('{"step": 5, "error": "low"}')
    with pytest.raises(UserError, match="best.json: cannot be read .*'low'"):
        _run(first, tmp_path, 10, observers=[Errors(first, [9.0, 1.0])])


def test_stop_in_a_destructor_is_raised_at_the_next_stage(monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    class Dropped:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    with StopSignals() as signals:
        thing = Dropped()
        del thing
        assert signals.requested
        with pytest.raises(Stopped), signals.deferred():
            pass
    assert not unraisable
