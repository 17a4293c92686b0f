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

FLAGS = ("birdlets", "cub", "coco")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scales", 0),
        ("scales", 5),
        ("base_size", 8),
        ("base_size", 48),
        ("words_dim", 7),
        ("dataset", "imagenet"),
        ("ema_decay", 1.5),
        ("redescription_weight", -1.0),
        ("generator_learning_rate", float("nan")),
        ("glam_batch_size", 1),
        ("seed", -1),
        ("stream_encoder_weights", "stem"),
        ("augment", "color,colour"),
        ("augment", "cutout,cutout"),
    ],
)
def test_a_bad_value_is_refused_with_the_flags_name(field, value):
    with pytest.raises(UserError, match=f"--{field}="):
        Config.from_flags(**{field: value})


def test_sizes_double():
    assert Config.from_flags(base_size=16, scales=4).sizes == (16, 32, 64, 128)


def test_flags_file_gives_the_same_configuration_back(tmp_path):
    config = Config.from_flags(
        redescription_weight=7.5, word_attention=False, data_dir="a b/ü", seed=9
    )
    write_config(config, tmp_path / "flags.cfg")
    assert read_config(tmp_path / "flags.cfg") == config


def test_an_unknown_flag_in_a_file_is_named(tmp_path):
    path = tmp_path / "flags.cfg"
    path.write_text("--no_such_flag=1\n")
    with pytest.raises(UserError, match="no_such_flag"):
        read_config(path)


def test_runtime_settings_do_not_fix_a_run():
    config = Config()
    moved = config.replace(data_dir="elsewhere", glam_steps=7)
    other = config.replace(generator_width=7)
    assert moved.to_flags(runtime=False) == config.to_flags(runtime=False)
    assert other.to_flags(runtime=False) != config.to_flags(runtime=False)


SETTINGS_BY_FLAG = {setting.flag: setting for setting in SETTINGS}
EXAMPLES = settings(max_examples=60, deadline=None)
BAD_TEXT = st.sampled_from(
    ["", " ", "x", "1,5", "1e3x", "--", "None", "0x", "½", "\t", "nan nan", "]"]
)


def _bad_values(field):
    """Strings that are no value of a flag."""
    if field.type is bool:
        return BAD_TEXT.filter(bool)
    if field.choices:
        return st.text(max_size=9).filter(lambda text: text not in field.choices)
    if field.type is str:
        return st.sampled_from(["a\nb", " a", "a ", "a\tb", "\0", "a\r", "\x1b[1m"])
    low, high = field.low, field.high
    numbers = st.integers if field.type is int else st.floats
    bad = BAD_TEXT
    if field.type is float:
        bad |= st.sampled_from(["nan", "inf", "-inf", "1e999"])
    if low is not None:
        bad |= numbers(max_value=low).filter(lambda n: n < low).map(repr)
    if high is not None or field.type is int:
        high = 2**31 - 1 if high is None else high
        bad |= numbers(min_value=high).filter(lambda n: n > high).map(repr)
    return bad


@EXAMPLES
@given(st.data())
def test_every_bad_value_is_refused_with_the_flags_name(data):
    field = SETTINGS_BY_FLAG[data.draw(st.sampled_from(sorted(SETTINGS_BY_FLAG)))]
    value = data.draw(_bad_values(field))
    values = flags.FlagValues()
    define_flags(values)
    with pytest.raises((UserError, flags.Error), match=field.flag):
        values(["train", f"--{field.flag}={value}"])
        config_from_flags(values)


def _good_values(field):
    if field.choices:
        return st.sampled_from(field.choices)
    if field.type is bool:
        return st.booleans()
    if field.type is str:
        return (
            st.text().filter(lambda text: text == text.strip()).filter(str.isprintable)
        )
    high = 2**31 - 1 if field.high is None else field.high
    if field.type is int:
        return st.integers(field.low or 0, high)
    return st.floats(field.low, field.high, allow_infinity=False)


@EXAMPLES
@given(st.data())
def test_flags_cfg_gives_any_configuration_back(data):
    names = data.draw(st.lists(st.sampled_from(sorted(SETTINGS_BY_FLAG)), max_size=9))
    changes = {name: data.draw(_good_values(SETTINGS_BY_FLAG[name])) for name in names}
    try:
        config = Config.from_flags(**changes)
    except UserError:
        return  # values that do not go with each other
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
