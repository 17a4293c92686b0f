import importlib
import re
from pathlib import Path

import pytest
from absl import flags

from mirrorgan_tf import cli
from mirrorgan_tf.config import path_flags

PACKAGE = Path(cli.__file__).parent


def parsed(*arguments):
    values = flags.FlagValues()
    options = {"flag_values": values}
    path_flags.define_path("out", "~/here", "", **options)
    path_flags.define_multi_path("file", [], "", **options)
    path_flags.define_path_list("files", [], "", **options)
    values(["command", *arguments])
    return values


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")


def test_home_folder_is_expanded_in_every_kind_of_path_flag():
    values = parsed("--file=~/a", "--file=b~/c", "--files=~/d,e,~")
    assert values.out == "/home/me/here"
    assert values.file == ["/home/me/a", "b~/c"]
    assert values.files == ["/home/me/d", "e", "/home/me"]


@pytest.mark.parametrize("path", ["./~/x", "", "-", "runs/my bird's nest"])
def test_other_paths_stay_as_they_are(path):
    assert parsed(f"--out={path}").out == path


@pytest.mark.parametrize("flag", ["out", "file", "files"])
@pytest.mark.parametrize("path", ["'a b'", "'a", "~nobody_of_this_name/x"])
def test_quotes_and_unknown_users_are_refused(flag, path):
    with pytest.raises(flags.IllegalFlagValueError, match="quotes|home folder"):
        parsed(f"--{flag}={path}")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_flags_for_files_are_path_flags(verb):
    name = f"mirrorgan_tf.{verb}"
    name += ".__main__" if (PACKAGE / verb).is_dir() else ""
    before = set(flags.FLAGS)
    importlib.import_module(name).define_flags()
    own = set(flags.FLAGS) - before
    try:
        for flag in map(flags.FLAGS.__getitem__, own):
            names_files = re.search(
                r"\b(folder|file)s?\b|\.pth\b|\.pickle\b", flag.help, re.I
            )
            if names_files and flag.flag_type() in ("string", "comma separated list"):
                assert type(flag.parser).__module__ == path_flags.__name__, flag.name
    finally:
        for name in own:
            delattr(flags.FLAGS, name)
