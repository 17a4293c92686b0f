"""Whether TensorFlow Serving has all the ops of an exported model."""

from collections.abc import Iterator
from pathlib import Path

from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from mirrorgan_tf.errors import UserError

__all__ = ["check_graph"]

# Of the oldest release of TensorFlow that an export loads in, see README.
_CORE_OPS_FILE = Path(__file__).parent / "tensorflow_2_15_ops.txt"
# TensorFlow Serving's model server links TF Text's ops too.
_TEXT_OPS = {"NormalizeUTF8": {"normalization_form"}}
_MUST_COMPILE = "_XlaMustCompile"


def check_graph(folder: Path, *, xla: bool = False) -> None:
    """Checks every node of every function of a SavedModel.

    A server must know each op and its attributes: core TensorFlow's of the oldest
    supported release, and TF Text's normalization. A server with its default flags
    compiles nothing by XLA on CPUs, so a graph must not demand it.

    Args:
        folder: of the SavedModel.
        xla: the graph may demand to be compiled: the server will be started for it.

    Raises:
        UserError: names the op and the signature that breaks this.
    """
    known_ops = _read_core_ops() | _TEXT_OPS
    (meta_graph,) = SavedModel.FromString(
        (folder / "saved_model.pb").read_bytes()
    ).meta_graphs
    functions = {
        function.signature.name: function
        for function in meta_graph.graph_def.library.function
    }
    for place, node in _nodes_with_places(meta_graph, functions):
        attributes = {name for name in node.attr if not name.startswith("_")}
        demands = [node, *(functions[name] for name in _called_functions(node))]
        if node.op not in known_ops:
            problem = "which TensorFlow Serving does not run by default"
        elif attributes - known_ops[node.op]:
            unknown = ", ".join(sorted(attributes - known_ops[node.op]))
            problem = f"which has no {unknown} in TensorFlow 2.15"
        elif not xla and any(demand.attr[_MUST_COMPILE].b for demand in demands):
            problem = "which must be compiled by XLA; export with --xla"
        else:
            continue
        raise UserError(f"{place}: uses op {node.op} (node {node.name}), {problem}")


def _read_core_ops() -> dict[str, set[str]]:
    """The attributes' names by the op's name."""
    lines = _CORE_OPS_FILE.read_text().splitlines()
    ops = (line.split() for line in lines if not line.startswith("#"))
    return {name: set(attributes) for name, *attributes in ops}


def _nodes_with_places(meta_graph, functions) -> Iterator[tuple[str, NodeDef]]:
    """Every node of the graph and its functions, and what it belongs to."""
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
    """Names of the functions that a node calls: branches, loops' bodies and so on."""
    return [
        function.name
        for value in node.attr.values()
        for function in [value.func, *value.list.func]
        if function.name
    ]
