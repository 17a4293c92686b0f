import re

import pytest
from absl import flags

from mirrorgan_tf.config import path_flags


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
    assert parsed("--out=./~/x").out == "./~/x"
    assert parsed("--out=").out == ""
    assert parsed("--out=-").out == "-"


@pytest.mark.parametrize("flag", ["out", "file", "files"])
@pytest.mark.parametrize("path", ["'a b'", "\"a b'", "'a", "~nobody_of_this_name/x"])
def test_quotes_and_unknown_users_are_refused(flag, path):
    if (flag, path) == ("files", "\"a b'"):
        pytest.skip("quotes of a list are those of CSV")
    with pytest.raises(flags.IllegalFlagValueError, match="quotes|home folder"):
        parsed(f"--{flag}={path}")


def test_quotes_in_a_flagfile_are_refused(tmp_path):
    path = tmp_path / "flags.cfg"
    path.write_text('--out="runs/my birds"\n')
    with pytest.raises(flags.IllegalFlagValueError, match="quotes"):
        parsed(f"--flagfile={path}")
    path.write_text("--out=runs/my bird's nest\n")
    assert parsed(f"--flagfile={path}").out == "runs/my bird's nest"


def all_commands(values):
    """Defines the flags of every command that can define them apart from the others."""
    from mirrorgan_tf import evaluate
    from mirrorgan_tf.ablation import __main__ as ablation
    from mirrorgan_tf.convert import __main__ as convert

    for module in (evaluate, ablation, convert):
        own = flags.FlagValues()
        module.define_flags(own)
        values.append(own)


def test_flags_whose_help_speaks_of_files_are_path_flags():
    commands = []
    all_commands(commands)
    for values in commands:
        for name in values:
            text = values[name].help
            if re.search(r"\b(folder|file)s?\b|\.pth\b|\.pickle\b", text, re.I):
                if values[name].flag_type() in ("string", "comma separated list"):
                    parser = values[name].parser
                    assert type(parser).__module__ == path_flags.__name__, name
