import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "tools" / "interruptions.py"


@pytest.mark.slow
def test_interrupted_runs_end_bit_for_bit_like_a_straight_one():
    done = subprocess.run(
        [sys.executable, HARNESS, "--count=2"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "came to its end, bit for bit the same" in done.stdout
    assert "2 interruptions" in done.stdout
