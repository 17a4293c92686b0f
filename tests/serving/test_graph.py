import os

import keras
import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.serving.versions import save_version


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


def save(tmp_path, function):
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
    return save_version(module, signatures, tmp_path, 1)


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
def test_graphs_with_ops_that_servers_lack_are_not_written(tmp_path, function, op):
    with pytest.raises(UserError, match=f"^signature serve: uses op {op}"):
        save(tmp_path, function)
    assert os.listdir(tmp_path) == []


def test_signatures_assign_no_variables_and_only_unseeded_ones_use_random_ops(loaded):
    for name, signature in loaded.signatures.items():
        graph = signature.graph.as_graph_def()
        inner = [node for f in graph.library.function for node in f.node_def]
        nodes = [*graph.node, *inner]
        ops = {node.op for node in nodes}
        assert not {op for op in ops if "Assign" in op}, name
        assert ("RandomStandardNormal" in ops) == (
            name in {"serving_default", "png", "jpeg"}
        )
        # Noise has no fixed seed.
        for node in nodes:
            if node.op == "RandomStandardNormal":
                assert node.attr["seed"].i == node.attr["seed2"].i == 0


def test_graph_contains_no_paths_of_this_machine(exported, trained_workdir):
    content = (exported / "saved_model.pb").read_bytes()
    for path in (str(trained_workdir), str(exported.parents[1]), os.getcwd()):
        assert path.encode() not in content
