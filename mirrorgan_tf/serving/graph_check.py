"""Checks that TensorFlow Serving can run all ops of an exported model."""

from collections.abc import Iterator
from pathlib import Path

from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from mirrorgan_tf.errors import UserError

__all__ = ["check_graph"]

# All ops of the oldest release of TensorFlow that can load exported models.
_CORE_OPS_FILE = Path(__file__).parent / "tensorflow_2_15_ops.txt"
# The model server includes the ops of TF Text too, of which the tokenizer uses one.
_TEXT_OPS = {"NormalizeUTF8": {"normalization_form"}}
_MUST_COMPILE = "_XlaMustCompile"


def check_graph(folder: Path, *, xla: bool = False) -> None:
    """Checks every node of every function of a SavedModel.

    Allowed are the ops and attributes of the oldest supported release of TensorFlow,
    and the normalisation of TF Text. With its default flags a server does not compile
    with XLA on CPUs, so a graph must not require it.

    Args:
        folder: folder of the SavedModel.
        xla: allow functions that XLA must compile; the server needs a flag for them.

    Raises:
        UserError: names an op that is not allowed and its signature.
    """
    known_ops = _read_core_ops() | _TEXT_OPS
    (meta_graph,) = SavedModel.FromString(
        (folder / "saved_model.pb").read_bytes()
    ).meta_graphs
    functions = {
        function.signature.name: function
        for function in meta_graph.graph_def.library.function
    }
    for location, node in _nodes_with_locations(meta_graph, functions):
        attributes = {name for name in node.attr if not name.startswith("_")}
        compilable = [node, *(functions[name] for name in _called_functions(node))]
        if node.op not in known_ops:
            problem = "which TensorFlow Serving does not run by default"
        elif attributes - known_ops[node.op]:
            unknown = ", ".join(sorted(attributes - known_ops[node.op]))
            problem = f"which has no {unknown} in TensorFlow 2.15"
        elif not xla and any(item.attr[_MUST_COMPILE].b for item in compilable):
            problem = "which must be compiled by XLA; export with --xla"
        else:
            continue
        raise UserError(f"{location}: uses op {node.op} (node {node.name}), {problem}")


def _read_core_ops() -> dict[str, set[str]]:
    """Attribute names by op name."""
    lines = _CORE_OPS_FILE.read_text().splitlines()
    ops = (line.split() for line in lines if not line.startswith("#"))
    return {name: set(attributes) for name, *attributes in ops}


def _nodes_with_locations(meta_graph, functions) -> Iterator[tuple[str, NodeDef]]:
    """Yields every node of the graph and its functions, with where it is used."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    visited = set()

    def nodes_from(node):
        yield node
        for name in _called_functions(node):
            if name not in visited:
                visited.add(name)
                for inner_node in functions[name].node_def:
                    yield from nodes_from(inner_node)

    for name, signature in sorted(meta_graph.signature_def.items()):
        for output in signature.outputs.values():
            for node in nodes_from(nodes[output.name.split(":")[0]]):
                yield f"signature {name}", node
    for node in nodes.values():
        for inner_node in nodes_from(node):
            yield "saving and loading of weights", inner_node
    for name in functions.keys() - visited:
        for node in functions[name].node_def:
            yield f"function {name}", node


def _called_functions(node) -> list[str]:
    """Names of the functions that a node calls, such as branches and loop bodies."""
    return [
        function.name
        for value in node.attr.values()
        for function in [value.func, *value.list.func]
        if function.name
    ]
