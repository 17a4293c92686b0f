import pytest
import tensorflow as tf

from tools.precision import compare_losses


def _write_log(folder, loss):
    """A log of ten steps, whose second half lies at `loss` on average."""
    writer = tf.summary.create_file_writer(str(folder / "logs" / "glam"))
    with writer.as_default():
        for step in range(1, 11):
            value = 100.0 if step <= 5 else loss + (step - 8) / 10
            tf.summary.scalar("glam/kl", value, step=step)
    writer.close()
    return folder


def test_distance_is_in_standard_deviations_over_the_seeds(tmp_path, capsys):
    runs = [_write_log(tmp_path / str(loss), loss) for loss in (1.0, 3.0, 7.0, 9.0)]
    # Means 2 and 8, both with a deviation of the square root of 2.
    apart = compare_losses(runs[:2], runs[2:], steps=10)
    assert apart == pytest.approx(6 / 2**0.5, rel=1e-5)
    assert "| kl | 2.000 ± 1.414 | 8.000 ± 1.414 | 4.2 |" in capsys.readouterr().out
    compare_losses(runs[:2], runs[2:3], steps=10)
    assert "| kl | 2.000 ± 1.414 | 7.000 | 3.5 |" in capsys.readouterr().out
