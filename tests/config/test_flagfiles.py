import pytest
from absl import flags

from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.config.flagfiles import expand_marked_flagfiles
from mirrorgan_tf.errors import UserError

TEXT = "# a comment\n--dataset=folder\n\n  --data_dir=größer\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_flagfile_may_have_a_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "mine.cfg"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode(encoding))
    arguments = expand_marked_flagfiles([f"--flagfile={path}", "--steps=2"])
    values = flags.FlagValues()
    for name in ("dataset", "data_dir", "steps"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    assert values(["command", *arguments]) == ["command"]
    assert (values.dataset, values.data_dir, values.steps) == ("folder", "größer", "2")
    config = read_config(path)
    assert (config.data.dataset, config.data.data_dir) == ("folder", "größer")


def test_half_a_flagfile_is_named_with_its_line(tmp_path):
    path = tmp_path / "mine.cfg"
    path.write_bytes(TEXT.encode("utf-16")[:-1])
    with pytest.raises(UserError, match=f"{path}: line 4: bytes that are not UTF-16"):
        expand_marked_flagfiles([f"--flagfile={path}"])


def test_other_arguments_stay_as_they_are(tmp_path):
    arguments = [
        f"--flagfile={tmp_path}/none",
        "--flagfile",
        "x",
        "--data_dir=flagfile",
    ]
    assert expand_marked_flagfiles(arguments) == arguments
