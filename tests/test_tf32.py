import types

import pytest
import tensorflow as tf
from absl import flags

from mirrorgan_tf import evaluate, generate, training_run, workdir
from mirrorgan_tf.config import Config
from mirrorgan_tf.data import sources
from mirrorgan_tf.demo import __main__ as demo
from mirrorgan_tf.tf32 import describe_float32, use_tf32
from tools.parity import __main__ as parity


def _enabled():
    return tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.fixture(autouse=True)
def restored():
    before = _enabled()
    yield
    use_tf32(before)


class ComputationReached(Exception):
    """The command has done what comes before its computations."""


def _stop(*args, **kwargs):
    raise ComputationReached


@pytest.fixture
def parsed_flags():
    """Defines a command's flags in `flags.FLAGS` and parses arguments."""
    before = set(flags.FLAGS)

    def parse(command, *arguments):
        command.define_flags()
        flags.FLAGS(["command", *arguments])

    yield parse
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


@pytest.mark.parametrize("on", [True, False])
def test_training_uses_tf32_as_its_setting_says(on, monkeypatch):
    use_tf32(not on)
    monkeypatch.setattr(training_run, "make_strategy", _stop)
    with pytest.raises(ComputationReached):
        training_run.prepare_devices(Config.from_flags(tf32=on))
    assert _enabled() == on


@pytest.mark.parametrize(
    ("run_tf32", "arguments", "expected"),
    [(True, [], True), (False, [], False), (False, ["--tf32"], True)],
)
def test_generate_uses_tf32_as_the_training_unless_a_flag_is_given(
    run_tf32, arguments, expected, monkeypatch, parsed_flags
):
    use_tf32(not expected)
    config = Config.from_flags(tf32=run_tf32)
    monkeypatch.setattr(workdir, "open_workdir", lambda path: _Model(config))
    parsed_flags(generate, "--workdir=run", "--captions=a", *arguments)
    with pytest.raises(ComputationReached):
        generate.main()
    assert _enabled() == expected


class _Model(types.SimpleNamespace):
    """A trained run that can be opened and not used."""

    def __init__(self, config):
        super().__init__(config=config, path="run")

    @property
    def tokenizer(self):
        """What is read first for the images."""
        raise ComputationReached

    describe = _stop


@pytest.mark.parametrize("on", [True, False])
def test_demo_uses_tf32_as_its_flag_says(on, monkeypatch, parsed_flags):
    use_tf32(not on)
    monkeypatch.setattr(demo, "_open_model", _stop)
    parsed_flags(demo, "--saved_model=served", f"--tf32={on}")
    with pytest.raises(ComputationReached):
        demo.main()
    assert _enabled() == on


@pytest.mark.parametrize(
    ("run_tf32", "flag", "expected"),
    [(True, None, True), (False, None, False), (True, False, False)],
)
def test_evaluate_uses_tf32_as_the_training_unless_a_flag_is_given(
    run_tf32, flag, expected, monkeypatch
):
    use_tf32(not expected)
    run = types.SimpleNamespace(config=Config.from_flags(tf32=run_tf32))
    monkeypatch.setattr(workdir, "open_workdir", lambda path: run)
    monkeypatch.setattr(sources, "open_dataset", _stop)
    values = flags.FlagValues()
    evaluate.define_flags(values)
    values(["evaluate", "--workdir=run"])
    values["tf32"].value = flag
    with pytest.raises(ComputationReached):
        evaluate.evaluate(values)
    assert _enabled() == expected


def test_parity_does_not_use_tf32(reference, monkeypatch):
    enabled = []
    for name in parity._CHECKS:
        monkeypatch.setitem(
            parity._CHECKS, name, lambda *arguments: enabled.append(_enabled())
        )
    use_tf32(True)
    parity.check_folder(reference)
    assert enabled == [False] * len(parity._CHECKS)


@pytest.mark.parametrize(
    ("capability", "on", "override", "expected"),
    [
        ((9, 0), True, None, "TF32"),
        ((9, 0), False, None, "full precision"),
        ((9, 0), True, "0", "full precision"),
        ((7, 5), True, None, "full precision"),
        (None, True, None, "full precision"),
    ],
)
def test_float32_is_described_as_tf32_only_where_a_gpu_uses_it(
    capability, on, override, expected, monkeypatch
):
    gpus = [] if capability is None else ["a GPU"]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    details = {"compute_capability": capability}
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: details
    )
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if override is not None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    use_tf32(on)
    assert describe_float32() == expected
