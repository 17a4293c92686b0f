import keras
import pytest
import tensorflow as tf

from mirrorgan_tf import cpu
from mirrorgan_tf.training import precision


@pytest.mark.parametrize(
    ("flags", "expected", "reason"),
    [
        ("fpu avx512_bf16 sse", True, "the CPU has avx512_bf16"),
        ("fpu amx_bf16 avx512_bf16", True, "the CPU has amx_bf16"),
        ("fpu avx512f", False, "the CPU has neither amx_bf16 nor avx512_bf16"),
        (None, False, "neither"),
    ],
)
def test_bfloat16_is_chosen_by_the_instructions_of_the_cpu(
    flags, expected, reason, monkeypatch, tmp_path
):
    path = tmp_path / "cpuinfo"
    if flags is not None:
        path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: x\n")
    monkeypatch.setattr(cpu, "_CPU_INFO", path)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    bfloat16, text = precision.choose_bfloat16()
    assert bfloat16 == expected and reason in text


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([(8, 0)], True), ([(7, 5)], False), ([(9, 0), (7, 0)], False), ([None], False)],
)
def test_bfloat16_is_chosen_by_the_compute_capability_of_all_gpus(
    capabilities, expected, monkeypatch
):
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: list(range(len(capabilities)))
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": capabilities[gpu]},
    )
    assert precision.choose_bfloat16()[0] == expected


@pytest.mark.parametrize(
    ("setting", "bfloat16", "policy"),
    [
        ("none", True, "float32"),
        ("bfloat16", False, "mixed_bfloat16"),
        ("auto", True, "mixed_bfloat16"),
        ("auto", False, "float32"),
    ],
)
def test_setting_decides_the_policy_and_is_logged_in_one_line(
    setting, bfloat16, policy, monkeypatch, caplog
):
    caplog.set_level("INFO", logger="absl")
    monkeypatch.setattr(precision, "choose_bfloat16", lambda: (bfloat16, "a reason"))
    before = keras.config.dtype_policy()
    try:
        precision.set_mixed_precision(setting)
        assert keras.config.dtype_policy().name == policy
    finally:
        keras.config.set_dtype_policy(before)
    (line,) = caplog.messages
    assert line.startswith("computing in ")
