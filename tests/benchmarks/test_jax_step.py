import subprocess
import sys

import pytest

from benchmarks import jax_step

TOLD = {
    "device": "NVIDIA H200",
    "compile": 61.2,
    "step": 0.02,
    "planned": 3.0,
    "peak": 4.5,
    "gflop": 3000.0,
    "matmul": 400.0,
}


def _cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_the_rates_of_a_step():
    cells = dict(
        zip(jax_step._COLUMNS, jax_step.row("tf32", "default", 20, TOLD), strict=True)
    )
    assert cells["step, ms"] == "20.0"
    assert cells["images/s"] == "1000.0"
    # 3 TFLOP in 20 ms; the data sheet's peak for tf32 is 495 TFLOP/s.
    assert cells["TFLOP/s"] == "150"
    assert cells["of the data sheet's"] == "30.3%"
    assert cells["of the matmul's"] == "37.5% of 400"


def test_of_an_unknown_device_no_peak_is_made_up():
    cells = jax_step.row("float32", "default", 4, TOLD | {"device": "cpu"})
    assert cells[jax_step._COLUMNS.index("of the data sheet's")] == ""


def test_a_way_that_fails_does_not_stop_the_others(monkeypatch, capsys):
    asked = []

    def in_a_process(module, *arguments, environment, limit_s):
        asked.append(environment["XLA_FLAGS"])
        if len(asked) == 1:
            raise subprocess.CalledProcessError(-6, module)
        if len(asked) == 3:
            raise subprocess.TimeoutExpired(module, limit_s)
        return TOLD

    monkeypatch.setenv("XLA_FLAGS", "--mine")
    monkeypatch.setattr(jax_step, "in_a_process", in_a_process)
    chosen = ["--options", "default", "no fusion", "--batch", "2", "--limit_s", "99"]
    monkeypatch.setattr(sys, "argv", ["", *chosen, "--precisions", "tf32", "bfloat16"])
    jax_step.main()
    _, _, *rows, _, device = capsys.readouterr().out.splitlines()
    assert [_cells(line)[:4] for line in rows] == [
        ["tf32", "default", "2", "failed with status -6"],
        ["bfloat16", "default", "2", "61"],
        ["tf32", "no fusion", "2", "not within 99 s of all"],
        ["bfloat16", "no fusion", "2", "61"],
    ]
    assert {len(_cells(line)) for line in rows} == {len(jax_step._COLUMNS)}
    assert device.startswith("On NVIDIA H200")
    assert asked[0] == "--mine"
    assert asked[2].startswith("--mine --xla_disable_hlo_passes=")


def test_no_way_begins_when_the_time_is_up(monkeypatch, capsys):
    monkeypatch.setattr(jax_step, "in_a_process", pytest.fail)
    monkeypatch.setattr(sys, "argv", ["", "--limit_s", "0"])
    jax_step.main()
    rows = capsys.readouterr().out.splitlines()[2:-2]
    ways = len(jax_step._PRECISIONS) * len(jax_step._OPTIONS) * 2
    assert [_cells(row)[3] for row in rows] == ["not within 0 s of all"] * ways
