import os

import pytest

from mirrorgan_tf.native_messages import (
    describe_unusable_gpu,
    native_messages_collected,
)

MESSAGES = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795791801.855068   12807 cudart_stub.cc:31] Could not find cuda drivers
E0000 00:00:1795791836.707704   12807 cuda_platform.cc:52] failed call to cuInit: 303
"""


def test_messages_of_native_code_are_collected_and_not_shown(capfd):
    with native_messages_collected() as messages:
        os.write(2, b"from native code\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
    assert messages == ["from native code\n"]


def test_stderr_is_restored_after_an_error(capfd):
    with pytest.raises(ImportError), native_messages_collected():
        raise ImportError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_a_gpu_that_cannot_be_started_is_explained_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    line = describe_unusable_gpu(MESSAGES, tmp_path)
    assert line.startswith("the GPU of this machine is not used")
    assert "(failed call to cuInit: 303)" in line
    assert "\n" not in line
    assert "()" not in describe_unusable_gpu("", tmp_path)


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_hidden_gpu_is_not_mentioned(visible, tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert describe_unusable_gpu(MESSAGES, tmp_path) is None


def test_a_machine_without_a_gpu_needs_no_warning(tmp_path, monkeypatch):
    (tmp_path / "nvidiactl").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert describe_unusable_gpu(MESSAGES, tmp_path) is None
