"""Flagfiles, and recipes: the flagfiles that are installed with the package."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from mirrorgan_tf.config.path_flags import expand_path
from mirrorgan_tf.encoding import read_text
from mirrorgan_tf.errors import UserError

__all__ = [
    "describe_recipe",
    "expand_flagfiles",
    "list_recipes",
    "read_flagfile",
    "recipe_names",
    "recipe_path",
    "suggest",
]

# A link to flags/ in the repository, a folder of files where the package is installed.
_FOLDER = Path(__file__).parents[1] / "flags"


def expand_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Replaces `--flagfile=FILE` and `--recipe=NAME` by the flags in those files.

    The flags of files come first: whatever stands beside `--flagfile` or `--recipe`, on
    the command line or in a file, overrides what the named file says.

    Args:
        arguments: of a command, without its name.

    Raises:
        UserError: a file can't be read, includes itself, or there is no such recipe.
    """
    return _expand(arguments, opened=())


def read_flagfile(path: str | Path) -> list[str]:
    """The flags in a file, those of the files that it names included.

    Raises:
        UserError: a file can't be read, includes itself, or there is no such recipe.
    """
    return _read(Path(path), opened=())


def recipe_names(command: str | None = None) -> list[str]:
    """Names of recipes, sorted.

    Args:
        command: `train` or `ablation`, for the recipes of one command; the second line
            of a recipe's file names it.
    """
    paths = sorted(_FOLDER.glob("*.cfg"))
    return [
        path.stem
        for path in paths
        if command is None or f"mirrorgan {command} " in _first_lines(path)[1]
    ]


def recipe_path(name: str) -> Path:
    """The flagfile of a recipe.

    Raises:
        UserError: there is no such recipe.
    """
    if name not in recipe_names():
        raise UserError(
            f"--recipe={name}: there is no such recipe{suggest(name, recipe_names())}; "
            f"choose from {', '.join(recipe_names())}"
        )
    return _FOLDER / f"{name}.cfg"


def list_recipes(command: str) -> str:
    """The recipes of a command, each with a line that says what it is for."""
    return "\n".join(
        f"  --recipe={name:<16} {describe_recipe(name)}"
        for name in recipe_names(command)
    )


def describe_recipe(name: str) -> str:
    """What a recipe is for: the first line of its file."""
    return _first_lines(recipe_path(name))[0]


def suggest(word: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` if a known word is close to a misspelt one, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _first_lines(path):
    """The two lines of comments with which each recipe begins."""
    return [line.lstrip("# ") for line in read_text(path).splitlines()[:2]]


def _expand(arguments, opened):
    from_files, own = [], []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            own += [argument, *remaining]
            break
        name, equals, value = argument.partition("=")
        flag = name.lstrip("-") if name.startswith("-") else None
        if flag not in ("flagfile", "recipe"):
            own.append(argument)
            continue
        if not equals:
            value = next(remaining, "")
        if not value:
            raise UserError(f"--{flag} needs a value, as in --{flag}=...")
        path = recipe_path(value) if flag == "recipe" else _flagfile_path(value)
        from_files += _read(path, opened)
    return from_files + own


def _flagfile_path(value):
    try:
        path = Path(expand_path(value))
    except ValueError as error:
        raise UserError(f"--flagfile={value}: {error}") from None
    if not path.exists() and path.suffix == ".cfg" and path.stem in recipe_names():
        raise UserError(
            f"--flagfile={value}: there is no such file; outside the repository write "
            f"--recipe={path.stem}"
        )
    return path


def _read(path, opened):
    if path.resolve() in opened:
        raise UserError(f"--flagfile={path}: includes itself; remove one of the lines")
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except OSError as error:
        raise UserError(
            f"--flagfile={path}: can't be read ({error.strerror})"
        ) from None
    flags = [line for line in lines if line and not line.startswith(("#", "//"))]
    return _expand(flags, (*opened, path.resolve()))
