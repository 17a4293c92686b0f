import errno
import os
import resource

import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import lock_folder
from mirrorgan_tf.serving.versions import choose_version, save_version


class Adder(tf.Module):
    """A small module in place of a served model."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def add(self, x):
        return {"y": x + 1}


def save(out, version=1, module=None, **options):
    module = module or Adder()
    signatures = {"serving_default": module.add}
    return save_version(module, signatures, out, version, **options)


def test_versions_are_numbered_after_the_highest(tmp_path):
    out = tmp_path / "served" / "adder"
    assert choose_version(out) == 1
    assert save(out) == out / "1"
    for name in ("7", "notes", ".partial-x", "-9", "12a"):
        (out / name).mkdir()
    assert choose_version(out) == 8
    signature = tf.saved_model.load(str(out / "1")).signatures["serving_default"]
    assert signature(tf.constant([1.0]))["y"].numpy() == [2]


@pytest.mark.parametrize(
    ("path", "version", "message"),
    [
        ("served", 3, "--version=3: .*/003 exists and is never"),
        ("served", 0, "--version=0: must be at least 1"),
        ("file", None, "--out=.*file: not a folder"),
        ("file/below", None, "--out=.*below: not a folder"),
    ],
)
def test_existing_and_impossible_versions_are_refused(tmp_path, path, version, message):
    (tmp_path / "served" / "003").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=message):
        choose_version(tmp_path / path, version)


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    # With a limit on the size of files, writing fails as on a full disk.
    module = Adder()
    module.weights = tf.Variable(tf.zeros([1_000_000]))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, unlimited[1]))
    try:
        with pytest.raises(UserError, match=f"^--out={tmp_path}: can't be written"):
            save(tmp_path, module=module)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "failure, raised",
    [
        (OSError(errno.ENOSPC, "full"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_failed_or_interrupted_exports_leave_nothing(tmp_path, failure, raised):
    def fail(folder):
        raise failure

    with pytest.raises(raised):
        save(tmp_path, write_extra_files=fail)
    assert os.listdir(tmp_path) == []


def test_version_written_meanwhile_by_another_export_is_kept(tmp_path):
    def other_export(folder):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "file").write_text("x")

    with pytest.raises(UserError, match="another export"):
        save(tmp_path, write_extra_files=other_export)
    assert os.listdir(tmp_path) == ["1"]
    assert (tmp_path / "1" / "file").read_text() == "x"


def test_leftovers_of_a_killed_export_are_removed_but_not_of_a_running_one(tmp_path):
    running, killed = tmp_path / ".partial-running", tmp_path / ".partial-killed"
    running.mkdir()
    killed.mkdir()
    # A running export holds the lock of its folder; locks end with their processes.
    lock = lock_folder(running)
    try:
        assert save(tmp_path) == tmp_path / "1"
        assert sorted(os.listdir(tmp_path)) == [running.name, "1"]
    finally:
        os.close(lock)
    assert save(tmp_path, 2) == tmp_path / "2"
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]
