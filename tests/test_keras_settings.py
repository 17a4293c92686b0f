import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import OTHER_KERAS_SETTINGS, ROOT

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
    done = _python(REPORT, KERAS_MAX_EPOCHS="some")
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
    }


@pytest.mark.parametrize(
    "content", ['{"floatx": "bfloat16"}', '{"epsilon": 1}', '["channels_last"]']
)
def test_a_keras_json_that_keras_refuses_is_one_line(content, tmp_path):
    (tmp_path / "keras.json").write_text(content)
    done = _python("import mirrorgan_tf.train", KERAS_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: Keras can't be imported: ")
    assert f"({tmp_path}/keras.json)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_program_that_has_another_backend_is_refused():
    program = """
import sys, types
backend = types.SimpleNamespace(backend=lambda: "jax")
sys.modules["keras"] = types.SimpleNamespace(config=backend)
try:
    import mirrorgan_tf.train
except ImportError as error:
    print(error)
"""
    assert "set KERAS_BACKEND=tensorflow" in _python(program).stdout


def _commands():
    files = [*(ROOT / "mirrorgan_tf").rglob("*.py"), *(ROOT / "export").rglob("*.py")]
    runs = "commands.run(", "app.run(_main)"
    found = [
        file.relative_to(ROOT)
        for file in files
        if any(text in file.read_text("utf-8") for text in runs)
    ]
    # Birdlets are drawn without Keras.
    found.remove(Path("mirrorgan_tf/birdlets/__main__.py"))
    return found


@pytest.mark.parametrize("path", _commands(), ids=str)
def test_every_command_starts_keras_by_its_settings(path):
    source = (ROOT / path).read_text("utf-8")
    ways = "    commands.start_keras()\n", "\nimport mirrorgan_tf.keras_settings  #"
    assert any(way in source for way in ways)
