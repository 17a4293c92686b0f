"""absl flags to `Config` and back; `flags.cfg` is itself a flagfile."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from mirrorgan_tf.config.flagfiles import expand_marked_flagfiles
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.config.settings import SETTINGS, Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import write_whole

__all__ = ["define_flags", "config_from_flags", "read_config", "write_config"]

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}

# Flags of earlier versions that flags.cfg may hold, and the value that leaves what
# they controlled unused; None: it does not matter.
_RETIRED = {
    "sampled_redescription_weight": "0.0",
    "matching_penalty_weight": "0.0",
    "matching_penalty_power": None,
}


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flag of every setting."""
    for setting in SETTINGS:
        if setting.choices:
            flags.DEFINE_enum(
                setting.flag,
                setting.default,
                list(setting.choices),
                setting.help,
                flag_values=flag_values,
            )
        else:
            define = define_path if setting.path else _DEFINE[setting.type]
            define(setting.flag, setting.default, setting.help, flag_values=flag_values)
        flags.declare_key_flag(setting.flag, flag_values=flag_values)


def config_from_flags(flag_values: flags.FlagValues = flags.FLAGS) -> Config:
    """Builds the checked configuration; UserError names a bad flag."""
    return Config.from_flags(
        **{setting.flag: flag_values[setting.flag].value for setting in SETTINGS}
    )


def write_config(config: Config, path: Path) -> None:
    """Writes every flag, one a line, as a flagfile."""
    lines = [f"--{flag}={value}\n" for flag, value in config.to_flags().items()]
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
    for name in (*passed_over, *_RETIRED):
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
    for name, unused in _RETIRED.items():
        value = values[name].value
        if unused is not None and value not in (None, unused):
            raise UserError(
                f"{path}: --{name}={value}: this version has no such setting; use the "
                "version that wrote it"
            )
    if values["seed"].present and not values["data_seed"].present:
        # Written before the data set had a seed of its own.
        values["data_seed"].value = values["seed"].value
    return config_from_flags(values)
