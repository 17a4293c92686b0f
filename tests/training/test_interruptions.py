import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "tools" / "interruptions.py"


@pytest.mark.slow
def test_interrupted_training_ends_with_the_bits_of_an_uninterrupted_one():
    done = subprocess.run(
        [sys.executable, HARNESS, "--count=2"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished with the same bits" in done.stdout
    assert "2 interruptions" in done.stdout
