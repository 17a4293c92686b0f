import numpy as np
import tensorflow as tf

from mirrorgan_tf.workdir import open_workdir


def test_it_carries_the_trained_weights(loaded, trained_workdir):
    captions, seeds = ["a red bird", "black wings"], [3, 4]
    trained = open_workdir(trained_workdir).describe(captions, seeds, batch_size=1)
    served = loaded.signatures["seeded"](
        caption=tf.constant(captions), seed=tf.constant(seeds, tf.int64)
    )
    difference = served["image"].numpy().astype(int) - trained["images"][-1]
    assert np.abs(difference).max() <= 1


def test_mistakes_are_one_line(export, tmp_path):
    done = export(f"--workdir={tmp_path}", f"--out={tmp_path / 'served'}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: --workdir={tmp_path}: no ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "served").exists()


def test_missing_flags_are_named(export):
    done = export("--workdir=x")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --out is missing")
