import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.workdir import open_workdir
from tests.serving.test_warmup import batch_sizes

ROOT = Path(__file__).parents[2]


def test_it_carries_the_trained_weights(loaded, trained_workdir):
    captions, seeds = ["a red bird", "black wings"], [3, 4]
    trained = open_workdir(trained_workdir).describe(captions, seed=seeds)
    served = loaded.signatures["seeded"](
        caption=tf.constant(captions), seed=tf.constant(seeds, tf.int64)
    )
    difference = served["image"].numpy().astype(int) - trained["images"][-1]
    assert np.abs(difference).max() <= 1


def test_mistakes_are_one_line(export, tmp_path):
    done = export(f"--workdir={tmp_path}", f"--out={tmp_path / 'served'}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: --workdir={tmp_path}: no ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "served").exists()


def test_missing_flags_are_named(export):
    done = export("--workdir=x")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --out is missing")


@pytest.mark.parametrize("version", ["0", "-1", "x"])
def test_a_bad_version_is_named(export, version):
    done = export("--workdir=x", "--out=y", f"--version={version}")
    assert done.returncode == 1
    assert "--version" in done.stderr and "Traceback" not in done.stderr


def test_a_full_disk_is_one_line_and_leaves_nothing(trained_workdir, tmp_path):
    # A limit on a file's size fails in the midst of a write, as a full disk does.
    command = 'ulimit -f 100; exec "$0" -m export "$@"'
    out = tmp_path / "served"
    done = subprocess.run(
        ["bash", "-c", command, sys.executable]
        + [f"--workdir={trained_workdir}", f"--out={out}"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: --out={out}: can't be writ")
    assert "Traceback" not in done.stderr
    assert os.listdir(out) == []


def test_options_do_what_they_say(export, trained_workdir, tmp_path):
    done = export(
        f"--workdir={trained_workdir}",
        f"--out={tmp_path}",
        "--version=5",
        "--noema",
        "--dtype=bfloat16",
        "--quantize=int8",
        "--max_batch=2",
        "--noredescription",
        "--xla",
    )
    assert done.returncode == 0, done.stderr
    assert "tensorflow_model_server with --xla_cpu_compilation_enabled" in done.stderr
    assert os.listdir(tmp_path) == ["5"]
    signatures = tf.saved_model.load(str(tmp_path / "5")).signatures
    assert "seeded" in signatures and "redescribe" not in signatures
    captions, seeds = ["a red bird", "black wings"], [3, 4]
    served = signatures["seeded"](
        caption=tf.constant(captions), seed=tf.constant(seeds, tf.int64)
    )["image"].numpy()
    errors = {}
    for ema in (False, True):
        run = open_workdir(trained_workdir, ema=ema)
        images = run.describe(captions, seed=seeds)["images"][-1]
        errors[ema] = np.abs(served.astype(int) - images).mean()
    # No batch size is left that a request would have to wait for.
    assert batch_sizes(tmp_path / "5") == dict.fromkeys(signatures, [1, 2])
    # The two generators have nothing in common but their size.
    assert errors[False] < 1
    assert errors[True] > 10 * errors[False]
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 2 a request"):
        signatures["png"](caption=tf.constant(["a bird"] * 3))


def test_the_command_is_found_from_any_folder_or_says_why_not(tmp_path):
    def run_export_from(package_root):
        return subprocess.run(
            [sys.executable, "-m", "mirrorgan_tf.export", "--out=x"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(package_root)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    # A folder of this name that is not ours must not be taken.
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "__main__.py").write_text("print('another')")
    done = run_export_from(ROOT)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: --workdir is missing")
    installed = tmp_path / "site-packages"
    installed.mkdir()
    shutil.copytree(
        ROOT / "mirrorgan_tf", installed / "mirrorgan_tf", ignore=lambda *_: ["data"]
    )
    done = run_export_from(installed)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: there is no export/ in {installed}")
    assert done.stderr.count("\n") == 1
