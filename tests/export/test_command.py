import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.workdir import open_workdir

CONSUMER = Path(__file__).parent / "consumer.py"


@pytest.fixture
def served(loaded):
    # The loaded object must outlive its signature: it holds the variables.
    return loaded.signatures["serving_default"]


def test_the_signature_is_the_promised_one(served):
    caption = served.structured_input_signature[1]["caption"]
    assert (caption.shape.as_list(), caption.dtype) == ([None], tf.string)
    image = served.structured_outputs["image"]
    assert (image.shape.as_list(), image.dtype) == ([None, 32, 32, 3], tf.uint8)


@pytest.mark.parametrize("text_by", ["package", "ops"])
def test_it_serves_where_only_tensorflow_is(exported, tmp_path, text_by):
    done = subprocess.run(
        [sys.executable, str(CONSUMER), str(exported), text_by],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["served"]


def test_it_carries_the_trained_weights(loaded, trained_workdir):
    captions, seeds = ["a red bird", "black wings"], [3, 4]
    trained = open_workdir(trained_workdir).describe(captions, seeds, batch_size=1)
    served = loaded.signatures["seeded"](
        caption=tf.constant(captions), seed=tf.constant(seeds, tf.int64)
    )
    difference = served["image"].numpy().astype(int) - trained["images"][-1]
    assert np.abs(difference).max() <= 1


def test_it_reads_no_file_and_changes_no_variable(exported, served):
    graph = served.graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    ops = {node.op for node in nodes}
    assert "RandomStandardNormal" in ops
    assert not {op for op in ops if "Assign" in op or "File" in op or "PyFunc" in op}
    seeds = [
        (node.attr["seed"].i, node.attr["seed2"].i)
        for node in nodes
        if node.op == "RandomStandardNormal"
    ]
    # Zeros: another start at each load.
    assert set(seeds) == {(0, 0)}
    assert not list((exported / "assets").glob("*"))


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
