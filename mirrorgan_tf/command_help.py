"""The text of `--help`: what a command does, and all its flags in groups."""

import inspect
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

from mirrorgan_tf.config.path_flags import PATH
from mirrorgan_tf.config.settings import GROUP_TITLES, SETTINGS

__all__ = ["help_level", "help_text", "program_name"]

_HELP = {"-h", "-?", "-help", "--help", "--helpshort"}
_FULL_HELP = {"-helpfull", "--helpfull"}
_MAX_COLUMNS = 100
_RECIPE_HELP = """\
  --recipe=NAME
      Use the settings of a recipe; `mirrorgan train` lists all recipes. Other flags
      override the recipe's, wherever they stand.
"""


def help_level(arguments: Sequence[str]) -> int:
    """How much help is wanted: 0 none, 1 the command's flags, 2 also absl's own.

    Args:
        arguments: of a command, without its name.
    """
    if list(arguments) == ["help"]:
        return 1
    options = set(arguments)
    return 2 if options & _FULL_HELP else 1 if options & _HELP else 0


def program_name() -> str:
    """What to type to start the running command: `mirrorgan train`, for example."""
    specification = getattr(sys.modules["__main__"], "__spec__", None)
    if specification is None or sys.argv[0].startswith("mirrorgan "):
        return sys.argv[0]
    return f"python -m {specification.name.removesuffix('.__main__')}"


def help_text(
    main: Callable,
    flag_names: Sequence[str],
    operands: Sequence[str] = (),
    *,
    full: bool = False,
) -> str:
    """Describes a command.

    Args:
        main: its function; the docstring of its module says what the command does.
        flag_names: the flags that the command has defined in `flags.FLAGS`, in order.
        operands: names of its arguments that are not flags.
        full: whether to add the flags that absl defines for every program.
    """
    names = set(flag_names)
    parts = [
        f"usage: {' '.join([program_name(), *operands])} [--flag=value ...]\n",
        inspect.cleandoc(main.__globals__["__doc__"] or "") + "\n",
    ]
    grouped = {}
    if names.issuperset(setting.flag for setting in SETTINGS):
        for setting in SETTINGS:
            title = f"{GROUP_TITLES[setting.group]}:"
            grouped.setdefault(title, []).append(setting.flag)
    settings = {name for group in grouped.values() for name in group}
    parts.append("Flags of this command:")
    if grouped:
        parts.append(_RECIPE_HELP.rstrip())
    parts += [_describe(name) for name in flag_names if name not in settings]
    for title, group in grouped.items():
        parts += ["", title, *map(_describe, group)]
    if full:
        parts += ["", "Flags of every program that uses absl:"]
        parts += [_describe(name) for name in sorted(set(flags.FLAGS) - names)]
    return "\n".join(parts)


def _describe(name):
    """A line with a flag, its values and its default, and lines that explain it."""
    flag = flags.FLAGS[name]
    if flag.boolean:
        values = f"--[no]{name}"
    elif isinstance(flag, flags.EnumFlag):
        values = f"--{name}={'|'.join(flag.parser.enum_values)}"
    else:
        values = f"--{name}={_kind(flag)}"
    default = flag.default
    if isinstance(default, list):
        default = ",".join(default)
    if default not in (None, ""):
        values += f"  (default: {str(default).lower() if flag.boolean else default})"
    width = min(shutil.get_terminal_size().columns, _MAX_COLUMNS)
    text = textwrap.fill(
        _help(flag), width, initial_indent=" " * 6, subsequent_indent=" " * 6
    )
    return f"  {values}\n{text}"


def _kind(flag):
    if isinstance(flag.parser, flags.ListParser):
        return "A,B,..."
    if flag.parser.syntactic_help == PATH:
        return "PATH"
    return "NUMBER" if flag.flag_type().endswith(("int", "float")) else "TEXT"


def _help(flag):
    """The help text of a flag without what absl adds to it."""
    text = flag.help or ""
    if isinstance(flag, flags.EnumFlag):
        text = text.partition(">: ")[2]
    return text.partition(";\n    repeat this option")[0]
