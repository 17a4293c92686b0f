import subprocess
import sys

import pytest
import tensorflow as tf

from tests.conftest import ROOT


def _run(folder, loss):
    """A log of ten steps, whose second half lies at `loss` on average."""
    writer = tf.summary.create_file_writer(str(folder / "logs" / "glam"))
    with writer.as_default():
        for step in range(1, 11):
            value = 100.0 if step <= 5 else loss + (step - 8) / 10
            tf.summary.scalar("glam/kl", value, step=step)
    writer.close()
    return str(folder)


def _compare(ours, theirs, *flags):
    return subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.loss_curves", "--steps=10"),
            *(f"--ours={','.join(ours)}", f"--theirs={','.join(theirs)}", *flags),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [_run(folder / str(loss), loss) for loss in (1.0, 3.0, 7.0, 9.0)]


def test_distance_is_in_standard_deviations_over_the_seeds(runs):
    done = _compare(runs[:2], runs[2:], "--most=4.3")
    assert done.returncode == 0, done.stderr
    # Means 2 and 8, both with a deviation of the square root of 2.
    assert (
        done.stdout.splitlines()[-1] == "| kl | 2.000 ± 1.414 | 8.000 ± 1.414 | 4.2 |"
    )
    assert _compare(runs[:2], runs[2:], "--most=4.2").returncode == 1
    alone = _compare(runs[:2], runs[2:3])
    assert alone.stdout.splitlines()[-1] == "| kl | 2.000 ± 1.414 | 7.000 | 3.5 |"


def test_a_run_without_such_steps_is_one_line(runs, tmp_path):
    done = _compare(runs[:2], [str(tmp_path)])
    assert done.returncode == 1
    assert "no losses of steps 6 to 10; give the --workdir" in done.stderr
    assert "Traceback" not in done.stderr
