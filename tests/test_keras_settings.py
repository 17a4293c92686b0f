import json
import os
import subprocess
import sys

import pytest

from mirrorgan_tf import cli, cpu, keras_settings
from tests.conftest import OTHER_KERAS_SETTINGS, ROOT, check_native_messages

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_PARALLEL = "TF_NUM_INTEROP_THREADS"
REPORT = """
import json, os
import mirrorgan_tf.keras_settings
import keras, tensorflow as tf
print(json.dumps({
    "backend": keras.config.backend(),
    "floatx": keras.config.floatx(),
    "policy": keras.config.dtype_policy().name,
    "epsilon": keras.config.epsilon(),
    "images": keras.config.image_data_format(),
    "nnx": keras.config.is_nnx_enabled(),
    "tf.keras": tf.keras.__version__ == keras.__version__,
    "GPU memory grows": os.environ["TF_FORCE_GPU_ALLOW_GROWTH"],
    "oneDNN": os.environ["TF_ENABLE_ONEDNN_OPTS"],
    "log level": os.environ["TF_CPP_MIN_LOG_LEVEL"],
}))
"""


def _python(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_settings_do_not_depend_on_the_shell_and_keras_json():
    done = _python(
        REPORT,
        KERAS_MAX_EPOCHS="some",
        TF_CPP_MIN_LOG_LEVEL="1",
        TF_ENABLE_ONEDNN_OPTS="0",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "backend": "tensorflow",
        "floatx": "float32",
        "policy": "float32",
        "epsilon": 1e-7,
        "images": "channels_last",
        "nnx": False,
        "tf.keras": True,
        "GPU memory grows": "true",
        "oneDNN": "0",
        "log level": "2",
    }
    check_native_messages(done.stderr)


@pytest.mark.parametrize(
    ("instructions", "machine", "gpu", "environment", "expected"),
    [
        ("fma avx2", "x86_64", False, {}, ("1", "3")),
        ("fma avx2", "x86_64", False, {_LOG_LEVEL: "0"}, ("1", "0")),
        ("fma avx2", "x86_64", False, {_ONEDNN: "0"}, ("0", "2")),
        ("fma avx2", "x86_64", False, {_ONEDNN: "1"}, ("1", "3")),
        ("fma avx2", "x86_64", True, {}, (None, "2")),
        ("fma avx2 avx512f avx512_vnni", "x86_64", False, {}, (None, "2")),
        ("", "arm64", False, {}, (None, "2")),
    ],
)
def test_onednn_is_switched_on_where_tensorflow_leaves_it_off(
    instructions, machine, gpu, environment, expected, monkeypatch
):
    monkeypatch.setattr(cpu, "cpu_instructions", lambda: set(instructions.split()))
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    monkeypatch.setattr(keras_settings, "has_gpu_device", lambda: gpu)
    monkeypatch.setattr(os, "environ", dict(environment))
    keras_settings._prepare_environment()
    assert (os.environ.get(_ONEDNN), os.environ[_LOG_LEVEL]) == expected


@pytest.mark.parametrize(
    ("cores", "environment", "expected"),
    [(1, {}, None), (2, {}, "4"), (2, {_PARALLEL: "3"}, "3"), (8, {}, None)],
)
def test_more_operations_than_cores_run_at_a_time_on_few_cores(
    cores, environment, expected, monkeypatch
):
    monkeypatch.setattr(keras_settings, "number_of_cores", lambda: cores)
    monkeypatch.setattr(os, "environ", dict(environment))
    keras_settings._prepare_environment()
    assert os.environ.get(_PARALLEL) == expected


def test_keras_json_that_keras_refuses_is_one_line(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "bfloat16"}')
    done = _python("import mirrorgan_tf.keras_settings", KERAS_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: Keras can't be imported: ")
    assert f"({tmp_path}/keras.json)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_program_that_uses_another_backend_is_refused():
    program = """
import sys, types
backend = types.SimpleNamespace(backend=lambda: "jax")
sys.modules["keras"] = types.SimpleNamespace(config=backend)
try:
    import mirrorgan_tf.keras_settings
except ImportError as error:
    print(error)
"""
    assert "set KERAS_BACKEND=tensorflow" in _python(program).stdout


# Birdlets are drawn without Keras.
@pytest.mark.parametrize("verb", sorted(set(cli.VERBS) - {"birdlets"}))
def test_every_command_imports_keras_by_start_keras(verb):
    path = ROOT / "mirrorgan_tf" / verb
    path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    assert "    commands.start_keras()\n" in path.read_text("utf-8")
