import shutil
import subprocess
from pathlib import Path

import pytest

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.workdir import lock_workdir, open_workdir, start_workdir


def only_flags(path):
    for stage in ("stem", "stream", "glam"):
        shutil.rmtree(path / stage)
    (path / "vocabulary.txt").unlink()


def halved_checkpoint(path):
    (file,) = path.glob("glam/*.data-*")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without(name):
    return lambda path: (path / name).unlink()


def flags_line(text):
    return lambda path: (path / "flags.cfg").open("a").write(f"{text}\n")


def no_text(path):
    (path / "flags.cfg").write_bytes(b"--\xff\xfe=1\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (only_flags, "train stage stem first"),
        (without("flags.cfg"), "give the folder of a training"),
        (no_text, "flags.cfg: line 1: .*not UTF-8"),
        (
            flags_line("--of_another_version=1"),
            "of_another_version.*version that wrote it",
        ),
        (flags_line("--generator_width=8"), "other networks"),
        (without("vocabulary.txt"), "vocabulary can't be read"),
        (halved_checkpoint, "cannot be read"),
    ],
)
def test_damaged_run_is_refused_in_one_line(trained_workdir, tmp_path, damage, message):
    path = tmp_path / "run"
    shutil.copytree(trained_workdir, path)
    damage(path)
    with pytest.raises(UserError, match=message) as caught:
        open_workdir(path)
    assert "\n" not in str(caught.value)


def test_copied_workdir_is_opened(trained_workdir, tmp_path):
    shutil.copytree(trained_workdir, tmp_path / "run")
    assert open_workdir(tmp_path / "run").step == 7


def test_one_workdir_takes_one_training_at_a_time(tmp_path):
    path = tmp_path / "run"
    with lock_workdir(path):
        with (
            pytest.raises(UserError, match="another training is running in it"),
            lock_workdir(path),
        ):
            pytest.fail("held twice")
    with lock_workdir(path):
        assert path.is_dir()


@pytest.mark.parametrize("path", ["/proc/run", "/dev/null/run", "/dev/null"])
def test_workdir_that_cannot_be_written_is_refused(path):
    with (
        pytest.raises(UserError, match=f"--workdir={path}: cannot be written"),
        lock_workdir(Path(path)),
    ):
        pytest.fail("held")


def test_disk_that_became_read_only_is_refused(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", tmp_path]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mount: {mounted.stderr.strip()}")
    try:
        start_workdir(tmp_path / "run", Config())
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        for name in ("run", "new"):
            with (
                pytest.raises(UserError, match=f"{name}: cannot be written"),
                lock_workdir(tmp_path / name),
            ):
                start_workdir(tmp_path / name, Config())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_run_finds_its_data_from_any_folder(trained_workdir, tmp_path, monkeypatch):
    project = tmp_path / "project"
    data = project / "data" / "birds"
    data.mkdir(parents=True)
    shutil.copytree(trained_workdir, project / "runs" / "run")
    flags_path = project / "runs" / "run" / "flags.cfg"
    monkeypatch.chdir(project)
    start_workdir(
        flags_path.parent,
        read_config(flags_path).replace(data_dir="data/birds"),
    )
    assert f"--data_dir={data}\n" in flags_path.read_text()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data" / "birds").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert open_workdir(flags_path.parent).config.data.data_dir == str(data)
    # Earlier versions wrote relative paths.
    flags_path.write_text(flags_path.read_text().replace(f"{data}\n", "data/birds\n"))
    assert open_workdir(flags_path.parent).config.data.data_dir == str(data)


def test_weights_file_is_the_same_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "run" / "stem").mkdir(parents=True)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    config = Config.from_flags(image_encoder_weights="weights.h5")
    start_workdir(tmp_path / "run", config)
    monkeypatch.chdir(tmp_path / "below")
    moved = config.replace(image_encoder_weights="../weights.h5")
    start_workdir(tmp_path / "run", moved)
    with pytest.raises(UserError, match="image_encoder_weights"):
        start_workdir(tmp_path / "run", config)
