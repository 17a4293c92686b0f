"""Flags of all settings, and the flagfile `flags.cfg` that holds those of a run."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from mirrorgan_tf.config.flagfiles import read_flagfile
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.config.settings import SETTINGS, Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import write_atomically

__all__ = [
    "config_from_flags",
    "define_flags",
    "read_config",
    "settings_are_given",
    "write_config",
]

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}

# Flags of earlier versions that a flags.cfg may hold, and the value that switched them
# off; None for a flag that had no effect while another one was off.
_REMOVED = {
    "sampled_redescription_weight": "0.0",
    "matching_penalty_weight": "0.0",
    "matching_penalty_power": None,
}


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flag of every setting."""
    for setting in SETTINGS:
        arguments = (setting.flag, setting.default)
        if setting.choices:
            flags.DEFINE_enum(
                *arguments,
                list(setting.choices),
                setting.help,
                flag_values=flag_values,
            )
        else:
            define = define_path if setting.path else _DEFINE[setting.type]
            define(*arguments, setting.help, flag_values=flag_values)


def settings_are_given(flag_values: flags.FlagValues = flags.FLAGS) -> bool:
    """Whether the command line or a flagfile sets any setting."""
    return any(flag_values[setting.flag].present for setting in SETTINGS)


def config_from_flags(flag_values: flags.FlagValues = flags.FLAGS) -> Config:
    """The configuration that the flags describe.

    Raises:
        UserError: a value is out of its range or contradicts another.
    """
    return Config.from_flags(
        **{setting.flag: flag_values[setting.flag].value for setting in SETTINGS}
    )


def write_config(config: Config, path: Path) -> None:
    """Writes every setting as a flagfile, one flag a line."""
    lines = [f"--{flag}={value}\n" for flag, value in config.to_flags().items()]
    write_atomically(path, "".join(lines))


def read_config(path: Path, *, ignored: Sequence[str] = ()) -> Config:
    """Reads what `write_config` wrote, or any other flagfile of these settings.

    Args:
        path: the file.
        ignored: names of other flags that may stand in it.

    Raises:
        UserError: the file can't be read, or holds other flags or bad values.
    """
    values = flags.FlagValues()
    define_flags(values)
    for name in (*ignored, *_REMOVED):
        flags.DEFINE_string(name, None, "", flag_values=values)
    try:
        rest = values(["flags", *read_flagfile(path)])
    except flags.Error as error:
        raise UserError(
            f"{path}: {error}; correct it, or use the version that wrote it"
        ) from None
    if len(rest) > 1:
        raise UserError(f"{path}: {rest[1]!r} is not a flag; flags begin with --")
    for name, off in _REMOVED.items():
        value = values[name].value
        if off is not None and value not in (None, off):
            raise UserError(
                f"{path}: --{name}={value}: this version has no such setting; use the "
                "version that wrote the file"
            )
    if values["seed"].present and not values["data_seed"].present:
        # The file is older than --data_seed, when --seed was also that of the data.
        values["data_seed"].value = values["seed"].value
    return config_from_flags(values)
