import os
import subprocess
import sys

import pytest

# TensorFlow Serving's model server links TF Text's op library, these among them.
TEXT_OPS = {"NormalizeUTF8"}


@pytest.fixture(scope="module")
def nodes(exported):
    """Every node that a signature may run."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((exported / "saved_model.pb").read_bytes())
    (meta,) = model.meta_graphs
    library = [node for f in meta.graph_def.library.function for node in f.node_def]
    return [*meta.graph_def.node, *library]


def test_every_op_is_known_to_servers(nodes):
    program = (
        "import tensorflow\n"
        "from tensorflow.python.framework import op_def_registry as ops\n"
        "import sys\n"
        "print(*[op for op in sys.stdin.read().split() if ops.get(op) is None])"
    )
    used = sorted({node.op for node in nodes})
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=" ".join(used),
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == TEXT_OPS


def test_no_file_is_read_and_no_python_called(nodes):
    # Saving and restoring bring file ops of their own, outside the signatures.
    restoring = {"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"}
    ops = {node.op for node in nodes} - restoring
    assert not {op for op in ops if "File" in op or "PyFunc" in op or "Print" in op}


def test_serving_assigns_nothing(loaded):
    for name, signature in loaded.signatures.items():
        graph = signature.graph.as_graph_def()
        inner = [node for f in graph.library.function for node in f.node_def]
        ops = {node.op for node in [*graph.node, *inner]}
        assert not {op for op in ops if "Assign" in op}, name
        assert ("RandomStandardNormal" in ops) == (
            name in {"serving_default", "png", "jpeg"}
        )


def test_each_load_draws_other_noise(nodes):
    seeds = [
        (node.attr["seed"].i, node.attr["seed2"].i)
        for node in nodes
        if node.op == "RandomStandardNormal"
    ]
    assert seeds and set(seeds) == {(0, 0)}


def test_it_names_no_place_on_this_machine(exported, trained_workdir):
    content = (exported / "saved_model.pb").read_bytes()
    for place in (str(trained_workdir), str(exported.parents[1]), os.getcwd()):
        assert place.encode() not in content
