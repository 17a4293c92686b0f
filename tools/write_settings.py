"""Writes docs/settings.md from the code: `python -m tools.write_settings`."""

from pathlib import Path

from mirrorgan_tf.config import SETTINGS, Setting
from mirrorgan_tf.config.flagfiles import describe_recipe, recipe_names
from mirrorgan_tf.config.settings import GROUP_TITLES

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

_INTRODUCTION = """\
# Settings

<!-- Written by `python -m tools.write_settings`; a test keeps it current. -->

A setting is a flag of `mirrorgan train`, `check`, `prepare`, `convert` and `ablation`
(`--glam_steps=1000`), a line of a flagfile, and a field of
`mirrorgan_tf.config.Config` in Python (`config.glam.steps`). Switches are written
`--flip` or `--noflip`. The defaults are the paper's for CUB, except that the data set
is birdlets.

```sh
mirrorgan train --recipe=cub --glam_steps=1000  # a recipe, by name, from any folder
mirrorgan train --flagfile=mine.cfg             # a file with a flag on each line
```

Recipes and flagfiles may include others with a line `--recipe=NAME` or
`--flagfile=FILE`. Flags beside it, on the command line or in a file, override those of
the included file. Every run keeps all its settings in `flags.cfg` in its workdir. In
Python: `Config.from_flags(glam_steps=1000)`, `config.replace(seed=2)`.

Settings in *italics* may change when a run is resumed. The others are fixed once the
first stage has begun; other values are refused.

## Recipes

| `--recipe` | what it is |
| --- | --- |
"""


def page() -> str:
    """The text of docs/settings.md."""
    text = _INTRODUCTION
    for name in recipe_names():
        text += f"| `{name}` | {describe_recipe(name)} |\n"
    for group, title in GROUP_TITLES.items():
        text += f"\n## {title}\n\n`config.{group}`\n\n"
        text += "| flag | field | default | values | meaning |\n"
        text += "| --- | --- | --- | --- | --- |\n"
        text += "".join(_row(item) for item in SETTINGS if item.group == group)
    return text


def _row(setting: Setting) -> str:
    flag = f"`--{setting.flag}`"
    cells = [
        f"*{flag}*" if setting.runtime else flag,
        f"`{setting.name}`",
        "" if setting.default == "" else f"`{_default(setting)}`",
        _values(setting),
        setting.help,
    ]
    return f"| {' | '.join(cells)} |\n"


def _default(setting):
    if setting.type is bool:
        return str(setting.default).lower()
    return setting.default


def _values(setting):
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.type is bool:
        return "true, false"
    if setting.path:
        return "path"
    if setting.type is str:
        return "text"
    kind = "integer" if setting.type is int else "number"
    if setting.high is not None and setting.high < 2**31 - 1:
        return f"{kind}, {setting.low} to {setting.high}"
    return kind if setting.low is None else f"{kind}, at least {setting.low}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
