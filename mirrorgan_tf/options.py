"""absl flags to `Config` and back; `flags.cfg` is itself a flagfile."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config, setting_help
from mirrorgan_tf.files import write_whole
from mirrorgan_tf.flagfiles import expand_marked_flagfiles
from mirrorgan_tf.path_flags import define_path

__all__ = ["define_flags", "config_from_flags", "read_config", "write_config"]

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines one flag for each field of `Config`."""
    for field in dataclasses.fields(Config):
        if field.metadata["choices"]:
            flags.DEFINE_enum(
                field.name,
                field.default,
                list(field.metadata["choices"]),
                setting_help(field),
                flag_values=flag_values,
            )
        else:
            define = define_path if field.metadata["path"] else _DEFINE[field.type]
            define(
                field.name, field.default, setting_help(field), flag_values=flag_values
            )
        flags.declare_key_flag(field.name, flag_values=flag_values)


def config_from_flags(flag_values: flags.FlagValues = flags.FLAGS) -> Config:
    """Builds the checked configuration; UserError names a bad flag."""
    return Config(**{field.name: flag_values[field.name].value for field in _fields()})


def write_config(config: Config, path: Path) -> None:
    """Writes every flag, one a line, as a flagfile."""
    lines = [f"--{field.name}={getattr(config, field.name)}\n" for field in _fields()]
    write_whole(path, "".join(lines))


def read_config(path: Path, *, passed_over: Sequence[str] = ()) -> Config:
    """Reads what `write_config` wrote, or any flagfile of these flags.

    Args:
        path: the file.
        passed_over: names of other flags that may stand in it.

    Raises:
        UserError: the file can't be read, or holds other flags or bad values.
    """
    values = flags.FlagValues()
    define_flags(values)
    for name in passed_over:
        flags.DEFINE_string(name, None, "", flag_values=values)
    try:
        arguments = expand_marked_flagfiles([f"--flagfile={path}"])
        rest = values(["flags", *arguments])
    except (flags.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: {error}; mend it, or use the version that wrote it"
        ) from None
    if len(rest) > 1:
        raise UserError(f"{path}: not a flag: {rest[1]!r}")
    return config_from_flags(values)


def _fields() -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(Config)
