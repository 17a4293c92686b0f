import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# As the commands do it on CPUs where TensorFlow leaves oneDNN off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import tensorflow as tf  # noqa: E402

from tests.tiny_settings import TINY

ROOT = Path(__file__).parents[1]
# Runs Python with the arguments that follow, and with SIGINT's default: shells start
# background jobs, and thereby the processes of these tests, with SIGINT ignored.
PYTHON_WITH_SIGINT = [
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
]
GOLDEN = Path(__file__).parent / "golden"

# Settings that a user may have for other programs; commands are tested with them.
OTHER_KERAS_SETTINGS = {
    "KERAS_BACKEND": "torch",
    "KERAS_HOME": str(Path(__file__).parent / "other_keras"),
    "TF_USE_LEGACY_KERAS": "1",
}


def pytest_addoption(parser):
    parser.addoption(
        "--gpus",
        action="store_true",
        help="Let the tests use GPUs, where some tolerances do not hold.",
    )


def pytest_configure(config):
    if not config.getoption("--gpus"):
        # TensorFlow reads it when it first lists devices; processes inherit it.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # Two virtual devices, so that a strategy can have two replicas.
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    # For -n and --dist loadgroup: tests that share a fixture run in one process, and
    # slow tests begin first.
    items.sort(key=lambda item: "slow" not in item.keywords)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item):
    # Fixtures of the session that take long and are used by few tests.
    for name in ("exported", "birdlets"):
        if name in item.fixturenames:
            return name
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    if any(fixture.scope == "module" for group in fixtures for fixture in group):
        return str(item.path)
    return item.nodeid


@pytest.fixture(scope="session")
def reference():
    """Folder of golden tensors, made by running the original networks."""
    return GOLDEN


@pytest.fixture(scope="session")
def two_replicas():
    """The only strategy of two replicas: keys of collectives are not shared."""
    return tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])


@pytest.fixture(scope="session")
def tiny_config():
    """Settings of networks as small as they get."""
    from mirrorgan_tf.config import Config

    return Config.from_flags(**TINY)


@pytest.fixture(scope="session")
def trained_workdir(tmp_path_factory, tiny_config):
    """A finished run's folder with tiny networks of random weights: read only."""
    import keras

    from mirrorgan_tf.networks import (
        build_glam,
        build_image_encoder,
        build_stream,
        build_text_encoder,
    )
    from mirrorgan_tf.text.vocabulary import Vocabulary
    from mirrorgan_tf.training.checkpoints import StageCheckpoints
    from mirrorgan_tf.workdir import VOCABULARY_FILE, start_workdir

    keras.utils.set_random_seed(1)
    config = tiny_config
    words = Vocabulary(["a", "red", "bird", "with", "black", "wings"])
    path = tmp_path_factory.mktemp("trained")
    start_workdir(path, config)
    words.save(path / VOCABULARY_FILE)
    stem = build_text_encoder(config, len(words) + 1)
    for stage, parts in (
        ("stem", {"stem": stem, "image_encoder": build_image_encoder(config)}),
        ("stream", {"stream": build_stream(config, len(words) + 1)}),
        ("glam", {"glam_ema": build_glam(config), "glam": build_glam(config)}),
    ):
        checkpoints = StageCheckpoints(path / stage, parts, keep=1)
        checkpoints.step.assign(7)
        checkpoints.save()
    return path


@pytest.fixture(scope="session")
def trained_model(trained_workdir):
    """The run of `trained_workdir`, opened and traced once: read only."""
    from mirrorgan_tf.workdir import open_workdir

    return open_workdir(trained_workdir)


def normal(*shape, seed=0):
    """Normal random numbers, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@contextlib.contextmanager
def eager_functions():
    """Runs functions eagerly: tracing takes longer than a few small steps."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture
def untraced():
    with eager_functions():
        yield


@contextlib.contextmanager
def half_precision():
    """Networks that are built inside compute in bfloat16."""
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def shapes_alone():
    """A scope for networks whose weights nobody needs: none is ever initialised."""
    import keras
    from keras.src.backend.common import global_state

    name = "uninitialized_variables"
    waiting = list(global_state.get_global_attribute(name, []))
    with keras.StatelessScope(initialize_variables=False):
        yield
    # Keras' next scope would otherwise initialise them, which takes half a minute.
    global_state.set_global_attribute(name, waiting)


def check_native_messages(stderr):
    """Fails if lines of TensorFlow's C++ code are among those of a command."""
    for words in ("absl::InitializeLog", ".cc:", "cuInit", "TF-TRT"):
        assert words not in stderr


def run_export(*arguments):
    """Runs `python -m export` in a new process."""
    return subprocess.run(
        [sys.executable, "-m", "export", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Runs a command in this process.

    Returns its exit status, and its lines of output and of errors.
    """

    from mirrorgan_tf import commands

    def run_command(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            commands.run(module.main, module.define_flags)
        captured = capsys.readouterr()
        return (
            exit.value.code or 0,
            captured.out.splitlines(),
            captured.err.splitlines(),
        )

    return run_command


@pytest.fixture(scope="session")
def exported(trained_workdir, tmp_path_factory):
    """The version folder that the command wrote, moved and renamed: read only."""
    out = tmp_path_factory.mktemp("served") / "birdlets"
    done = run_export(f"--workdir={trained_workdir}", f"--out={out}")
    assert done.returncode == 0, done.stderr
    check_native_messages(done.stderr)
    assert os.listdir(out) == ["1"]
    # Only the folder of the version keeps its name, which TensorFlow Serving needs.
    moved = out.parent / "moved"
    out.rename(moved)
    return moved / "1"


@pytest.fixture(scope="session")
def loaded(exported):
    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="session")
def noise_in_coco_layout(tmp_path_factory):
    """110 validation and 30 training images of noise, two captions each."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("evaluate") / "coco"
    (folder / "annotations").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 30), ("val", 110)):
        (folder / f"{split}2014").mkdir()
        for number in range(count):
            image = rng.integers(0, 256, (40, 44, 3), np.uint8)
            Image.fromarray(image).save(folder / f"{split}2014" / f"{number}.png")
        content = {
            "images": [{"id": i, "file_name": f"{i}.png"} for i in range(count)],
            "annotations": [
                {"id": i, "image_id": i // 2, "caption": f"a red bird, number {i}"}
                for i in range(2 * count)
            ],
        }
        path = folder / "annotations" / f"captions_{split}2014.json"
        path.write_text(json.dumps(content))
    return folder
