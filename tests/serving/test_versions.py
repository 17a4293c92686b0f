import errno
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.serving.versions import choose_version, save_version
from tests.conftest import ROOT

# Writes all of it, and waits just before it would have its name.
_SLOW_EXPORT = """
import sys, time
from pathlib import Path
from tests.serving.test_versions import Adder, save_version
def wait(folder):
    print("written", flush=True)
    time.sleep(600)
module = Adder()
save_version(module, {"serving_default": module.add}, Path(sys.argv[1]), complete=wait)
"""


class Adder(tf.Module):
    """Stands for a served model: what is saved does not matter here."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def add(self, x):
        return {"y": x + 1}


def save(*arguments, **options):
    module = Adder()
    return save_version(module, {"serving_default": module.add}, *arguments, **options)


def test_versions_count_on(tmp_path):
    out = tmp_path / "served" / "adder"
    assert choose_version(out) == 1
    assert save(out) == out / "1"
    assert save(out, 7) == out / "7"
    for name in ("notes", ".partial-x", "-9", "12a"):
        (out / name).mkdir()
    assert save(out) == out / "8"
    signature = tf.saved_model.load(str(out / "8")).signatures["serving_default"]
    assert signature(tf.constant([1.0]))["y"].numpy() == [2]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "003").mkdir()
    with pytest.raises(UserError, match="--version=3: .*/003 is there .*never"):
        save(tmp_path, 3)
    assert sorted(os.listdir(tmp_path)) == ["003"]


@pytest.mark.parametrize("version", [0, -1])
def test_versions_start_at_one(tmp_path, version):
    with pytest.raises(UserError, match=f"--version={version}: must be at least 1"):
        choose_version(tmp_path, version)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="--out=.*file: not a folder"):
        save(tmp_path / "file")
    with pytest.raises(UserError, match="--out=.*below: not a folder"):
        save(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "failure, raised, message",
    [
        (OSError(errno.ENOSPC, "No space left"), UserError, "can't be written"),
        (
            tf.errors.ResourceExhaustedError(None, None, "disk full"),
            *(UserError, "can't be written"),
        ),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
    ],
)
def test_a_failed_or_interrupted_export_leaves_nothing(
    tmp_path, monkeypatch, failure, raised, message
):
    def save_half(model, path, signatures):
        os.makedirs(path)
        raise failure

    monkeypatch.setattr(tf.saved_model, "save", save_half)
    with pytest.raises(raised, match=message):
        save(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_version_that_appears_meanwhile_is_kept(tmp_path):
    def other_export(folder):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "theirs").write_text("x")

    with pytest.raises(UserError, match="another export"):
        save(tmp_path, complete=other_export)
    assert os.listdir(tmp_path) == ["1"]
    assert (tmp_path / "1" / "theirs").read_text() == "x"


def test_a_killed_export_has_no_number_and_is_cleared_away(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", _SLOW_EXPORT, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        try:
            assert writer.stdout.readline() == "written\n"
            (partial,) = os.listdir(tmp_path)
            assert partial.startswith(".partial-")
            # While it lives it is left alone.
            assert save(tmp_path) == tmp_path / "1"
            assert sorted(os.listdir(tmp_path)) == [partial, "1"]
        finally:
            writer.kill()
    assert sorted(os.listdir(tmp_path)) == [partial, "1"]
    assert save(tmp_path) == tmp_path / "2"
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_readmes_way_to_copy_a_version_names_it_last(tmp_path):
    readme = (ROOT / "README.md").read_text()
    (line,) = [line for line in readme.splitlines() if line.startswith("rsync ")]
    served, models = tmp_path / "served" / "birdlets", tmp_path / "models"
    (served / "1").mkdir(parents=True)
    (served / "1" / "saved_model.pb").write_text("graph")
    models.mkdir()
    # The same machine stands for the server, and cp for rsync.
    script = f"""
        rsync() {{ cp -r "$2" "${{3#server:}}"; ls {models} >{tmp_path}/copied; }}
        ssh() {{ shift; "$@"; }}
        {line.replace("/models/birdlets", str(models))}
    """

    def copy():
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL
        ).returncode

    assert copy() == 0
    assert (tmp_path / "copied").read_text() == "copying-1\n"
    assert (models / "1" / "saved_model.pb").read_text() == "graph"
    # A version that is there stays as it is.
    assert copy() != 0
    assert os.listdir(models / "1") == ["saved_model.pb"]
