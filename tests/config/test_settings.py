import re
import tempfile
from pathlib import Path

import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st

from mirrorgan_tf.config import SETTINGS, Config
from mirrorgan_tf.config.config_flags import (
    config_from_flags,
    define_flags,
    read_config,
    write_config,
)
from mirrorgan_tf.errors import UserError
from tests.conftest import ROOT

BY_FLAG = {setting.flag: setting for setting in SETTINGS}
EXAMPLES = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("scales", 0),
        ("scales", 5),
        ("base_size", 8),
        ("base_size", 48),
        ("words_dim", 7),
        ("dataset", "imagenet"),
        ("ema_decay", 1.5),
        ("generator_learning_rate", float("nan")),
        ("stream_encoder_weights", "stem"),
        ("image_encoder_weights", "backbone"),
        ("augment", "color,colour"),
        ("augment", "cutout,cutout"),
        ("feature_discriminator_sizes", "32"),
    ],
)
def test_bad_value_is_refused_with_the_name_of_its_flag(flag, value):
    with pytest.raises(UserError, match=f"--{flag}="):
        Config.from_flags(**{flag: value})


def test_unknown_setting_is_a_type_error():
    with pytest.raises(TypeError, match="no setting 'steps'"):
        Config.from_flags(steps=3)


def test_image_sizes_double_at_each_scale():
    assert Config.from_flags(base_size=16, scales=4).sizes == (16, 32, 64, 128)


def test_checkpoints_depend_on_the_settings_that_are_not_runtime():
    config = Config()
    moved = config.replace(data_dir="elsewhere", glam_steps=7)
    assert moved.to_flags(runtime=False) == config.to_flags(runtime=False)
    other = config.replace(generator_width=7)
    assert other.to_flags(runtime=False) != config.to_flags(runtime=False)


def test_no_setting_is_read_by_a_name_built_from_strings():
    files = [*(ROOT / "mirrorgan_tf").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
    pattern = re.compile(r"[gs]etattr\([^()]*(config|settings)\b[^()]*,\s*f?[\"'a-z]")
    offenders = [
        str(path) for path in files if pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


def _bad_texts(setting):
    """Strings that are not a value of a flag."""
    if setting.choices:
        return st.text(max_size=9).filter(lambda text: text not in setting.choices)
    if setting.type is str:
        return st.sampled_from(["a\nb", " a", "a ", "a\tb", "\0", "a\r", "\x1b[1m"])
    bad = ["x", "1,5", "1e3x", "--", "None", "0x", "½", "nan nan", "]"]
    if setting.type is not bool:
        bad += ["", "nan", "inf", "-1e999"]
        bad += [] if setting.low is None else [repr(setting.low - 1)]
        high = 2**31 - 1 if setting.high is None else setting.high
        bad += [repr(high + 1)] if setting.high or setting.type is int else []
    return st.sampled_from(bad)


@EXAMPLES
@given(st.data())
def test_any_bad_text_is_refused_with_the_name_of_its_flag(data):
    setting = data.draw(st.sampled_from(SETTINGS))
    values = flags.FlagValues()
    define_flags(values)
    with pytest.raises((UserError, flags.Error), match=setting.flag):
        values(["train", f"--{setting.flag}={data.draw(_bad_texts(setting))}"])
        config_from_flags(values)


def _good_values(setting):
    if setting.choices:
        return st.sampled_from(setting.choices)
    if setting.type is bool:
        return st.booleans()
    if setting.type is str:
        return st.sampled_from(["a b/ü", "", "x=y", "-", "# no comment", "日本"])
    if setting.type is int:
        high = 2**31 - 1 if setting.high is None else setting.high
        return st.integers(setting.low or 0, high)
    return st.floats(setting.low, setting.high, allow_infinity=False)


@EXAMPLES
@given(st.data())
def test_flags_cfg_restores_any_configuration(data):
    names = data.draw(st.lists(st.sampled_from(sorted(BY_FLAG)), max_size=9))
    changes = {name: data.draw(_good_values(BY_FLAG[name])) for name in names}
    try:
        config = Config.from_flags(**changes)
    except UserError:
        return  # The values contradict each other.
    with tempfile.TemporaryDirectory() as folder:
        write_config(config, Path(folder) / "flags.cfg")
        assert read_config(Path(folder) / "flags.cfg") == config


@EXAMPLES
@given(
    st.lists(
        st.sampled_from(
            [b"--seed=3", b"--seed", b"seed=3", b"--nothing=1", b"--flagfile=/none"]
        )
        | st.binary(max_size=30),
        max_size=5,
    )
)
def test_any_file_is_a_configuration_or_refused_in_one_line(lines):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flags.cfg"
        path.write_bytes(b"\n".join(lines))
        try:
            assert isinstance(read_config(path), Config)
        except UserError as error:
            assert len(str(error).splitlines()) == 1
