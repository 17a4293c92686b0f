"""`python -m mirrorgan_tf.export`: `python -m export`, from whatever folder.

The command lies beside this package, in its source tree or where both are installed;
Python itself would look for `export` in the current folder first.
"""

import runpy
import sys
from pathlib import Path

from mirrorgan_tf import commands
from mirrorgan_tf.commands import UserError

_HOME = Path(__file__).resolve().parents[1]


def explain_absence(*_: str) -> None:
    """Raises the UserError of an installation that lacks the command."""
    raise UserError(
        f"there is no export/ in {_HOME}: this installation of mirrorgan_tf has no "
        "export command; take the source tree, and give this command in its folder"
    )


if __name__ == "__main__":
    if (_HOME / "export" / "__main__.py").is_file():
        sys.path.insert(0, str(_HOME))
        runpy.run_module("export", run_name="__main__", alter_sys=True)
    else:
        # Whatever flags were given: they are the missing command's.
        del sys.argv[1:]
        commands.run(explain_absence)
