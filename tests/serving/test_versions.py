import errno
import os
import resource

import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import lock_folder
from mirrorgan_tf.serving.versions import choose_version, save_version


class Adder(tf.Module):
    """Stands in for a served model; what is saved does not matter here."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def add(self, x):
        return {"y": x + 1}


def save(*arguments, module=None, **options):
    module = module or Adder()
    return save_version(module, {"serving_default": module.add}, *arguments, **options)


def test_versions_are_numbered_after_the_highest(tmp_path):
    out = tmp_path / "served" / "adder"
    assert choose_version(out) == 1
    assert save(out) == out / "1"
    assert save(out, 7) == out / "7"
    for name in ("notes", ".partial-x", "-9", "12a"):
        (out / name).mkdir()
    assert save(out) == out / "8"
    signature = tf.saved_model.load(str(out / "8")).signatures["serving_default"]
    assert signature(tf.constant([1.0]))["y"].numpy() == [2]


def test_existing_versions_are_not_overwritten(tmp_path):
    (tmp_path / "003").mkdir()
    with pytest.raises(UserError, match="--version=3: .*/003 exists .*never"):
        save(tmp_path, 3)
    assert sorted(os.listdir(tmp_path)) == ["003"]


@pytest.mark.parametrize("version", [0, -1])
def test_versions_below_one_are_refused(tmp_path, version):
    with pytest.raises(UserError, match=f"--version={version}: must be at least 1"):
        choose_version(tmp_path, version)


def test_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="--out=.*file: not a folder"):
        save(tmp_path / "file")
    with pytest.raises(UserError, match="--out=.*below: not a folder"):
        save(tmp_path / "file" / "below")


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    # With a limit on the size of files writing fails as on a full disk.
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
        save(tmp_path, complete=fail)
    assert os.listdir(tmp_path) == []


def test_version_written_meanwhile_by_another_export_is_kept(tmp_path):
    def other_export(folder):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "file").write_text("x")

    with pytest.raises(UserError, match="another export"):
        save(tmp_path, complete=other_export)
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
    assert save(tmp_path) == tmp_path / "2"
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]
