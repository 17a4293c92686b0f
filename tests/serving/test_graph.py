import os
import re

import keras
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.serving.versions import save_version
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def nodes(exported):
    """Every node of the graph and of its library of functions."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((exported / "saved_model.pb").read_bytes())
    (meta,) = model.meta_graphs
    library = [node for f in meta.graph_def.library.function for node in f.node_def]
    return [*meta.graph_def.node, *library]


def test_ops_are_those_of_the_oldest_release_and_one_of_tf_text(nodes):
    major, minor = re.search(
        r"loads with tensorflow and tensorflow-text alone, from\s+(\d+)\.(\d+) on",
        (ROOT / "README.md").read_text(),
    ).groups()
    recorded = ROOT / "mirrorgan_tf" / "serving" / f"tensorflow_{major}_{minor}_ops.txt"
    core = {line.split()[0] for line in recorded.read_text().splitlines()}
    used = {node.op for node in nodes}
    assert used - core == {"NormalizeUTF8"}
    assert not {op for op in used | core if op.startswith("Xla")}
    # The record is a release's: the installed one has nearly all of these ops.
    assert {"MatMul", "StatelessWhile", "RestoreV2"} < core
    assert not any(node.attr["_XlaMustCompile"].b for node in nodes)


def updates_slice_in_loop(x):
    return tf.map_fn(lambda row: keras.ops.slice_update(row, [0], row[1:]), x)


def decodes_webp_in_branch(x):
    return tf.cond(
        tf.size(x) > 3,
        lambda: tf.cast(tf.raw_ops.DecodeWebP(contents="")[0, 0], tf.float32),
        lambda: x,
    )


def multiplies_as_gradient(x):
    return tf.raw_ops.MatMul(a=x, b=x, transpose_b=True, grad_a=True)


def calls_python(x):
    return tf.numpy_function(lambda x: x, [x], tf.float32)


@tf.function(jit_compile=True)
def is_compiled(x):
    return x + 1


def save(tmp_path, function, **options):
    def serve(x):
        return {"y": tf.function(function)(x)}

    module = tf.Module()
    module.plain = tf.function(lambda x: {"y": x})
    module.serve = tf.function(serve)
    spec = tf.TensorSpec([None, 4], tf.float32, "x")
    signatures = {
        name: getattr(module, name).get_concrete_function(spec)
        for name in ("plain", "serve")
    }
    return save_version(module, signatures, tmp_path, **options)


@pytest.mark.parametrize(
    "function, op",
    [
        (updates_slice_in_loop, "XlaDynamicUpdateSlice"),
        (decodes_webp_in_branch, "DecodeWebP"),
        (multiplies_as_gradient, "MatMul .* grad_a"),
        (calls_python, "PyFunc"),
        (is_compiled, "PartitionedCall .* compiled by XLA"),
    ],
)
def test_graphs_that_servers_refuse_are_not_written(tmp_path, function, op):
    with pytest.raises(UserError, match=f"^signature serve: uses op {op}"):
        save(tmp_path, function)
    assert os.listdir(tmp_path) == []


def test_compiled_functions_are_written_on_demand(tmp_path):
    assert save(tmp_path, is_compiled, xla=True) == tmp_path / "1"


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
