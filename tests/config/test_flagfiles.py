import os
from pathlib import Path

import pytest

from mirrorgan_tf.config import config_flags
from mirrorgan_tf.config.flagfiles import (
    expand_flagfiles,
    list_recipes,
    recipe_names,
    recipe_path,
)
from mirrorgan_tf.errors import UserError

FLAGS = Path(__file__).parents[2] / "flags"
TEXT = "# a comment\n--dataset=folder\n\n  --data_dir=größer\n"


@pytest.fixture
def flagfile(tmp_path):
    path = tmp_path / "mine.cfg"

    def write(content, encoding="utf-8"):
        path.write_bytes(content.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_flagfile_may_have_byte_order_mark_and_windows_line_ends(flagfile, encoding):
    path = flagfile(TEXT.replace("\n", "\r\n"), encoding)
    expected = ["--dataset=folder", "--data_dir=größer"]
    assert expand_flagfiles([f"--flagfile={path}"]) == expected
    assert expand_flagfiles(["-flagfile", str(path)]) == expected
    config = config_flags.read_config(path)
    assert (config.data.dataset, config.data.data_dir) == ("folder", "größer")


def test_command_line_overrides_files_and_files_override_those_they_name(flagfile):
    path = flagfile("--glam_steps=5\n--recipe=cub\n")
    arguments = ["--seed=2", f"--flagfile={path}", "a caption"]
    expanded = expand_flagfiles(arguments)
    cub = expand_flagfiles(["--recipe=cub"])
    assert expanded == [*cub, "--glam_steps=5", "--seed=2", "a caption"]


def test_other_arguments_stay_as_they_are():
    arguments = ["--data_dir=flagfile", "recipe", "--", "--flagfile=none"]
    assert expand_flagfiles(arguments) == arguments


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--flagfile=none.txt", "none.txt: can't be read .No such file"),
        ("--flagfile=flags/coco.cfg", "outside the repository write --recipe=coco"),
        ("--flagfile='a'", "quotes"),
        ("--flagfile", "--flagfile needs a value"),
        ("--recipe=", "--recipe needs a value"),
        ("--recipe=coc", "did you mean coco"),
    ],
)
def test_missing_file_or_recipe_is_named(tmp_path, monkeypatch, argument, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        expand_flagfiles([argument])


@pytest.mark.parametrize(
    ("content", "encoding"),
    [(TEXT.encode("utf-16")[:-1], "UTF-16"), (TEXT.encode("latin-1"), "UTF-8")],
)
def test_undecodable_flagfile_is_named_with_its_line(tmp_path, content, encoding):
    path = tmp_path / "mine.cfg"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=f"{path}: line 4: bytes that are not {encoding}"
    ):
        expand_flagfiles([f"--flagfile={path}"])


def test_flagfile_that_is_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "mine.cfg")
    with pytest.raises(UserError, match="mine.cfg: can't be read"):
        expand_flagfiles([f"--flagfile={tmp_path}/mine.cfg"])


def test_flagfile_that_includes_itself_is_refused(flagfile, monkeypatch):
    path = flagfile("--flagfile=./mine.cfg\n")
    monkeypatch.chdir(path.parent)
    with pytest.raises(UserError, match="includes itself"):
        expand_flagfiles([f"--flagfile={path}"])


def test_recipes_are_the_files_in_flags():
    assert recipe_names() == sorted(path.stem for path in FLAGS.iterdir())
    assert all(
        os.path.samefile(recipe_path(path.stem), path) for path in FLAGS.iterdir()
    )
    assert recipe_names("ablation") == ["ablation"]
    names = [name for name in recipe_names() if name != "ablation"]
    assert recipe_names("train") == names
    lines = list_recipes("train").splitlines()
    assert [line.split()[0] for line in lines] == [f"--recipe={name}" for name in names]


@pytest.mark.parametrize("name", recipe_names("train"))
def test_settings_of_recipes_are_valid(name):
    config = config_flags.read_config(recipe_path(name), ignored=["workdir"])
    assert config.data.dataset == name.split("_")[0]
