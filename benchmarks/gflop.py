"""Floating-point operations of a traced step."""

from typing import Any

__all__ = ["step_gflop"]


def step_gflop(train_step: Any, *arguments) -> float:
    """GFLOP of a step's convolutions and matrix products, on all its replicas.

    Counts operations that the step's results need and whose shapes are known; the body
    of a loop counts once (for the LSTMs, one word). TensorFlow's own profiler counts
    products of transposed batches wrongly.

    Args:
        train_step: a `tf.function`, traced for `arguments`.
        *arguments: of the step.
    """
    graph = train_step.get_concrete_function(*arguments).graph
    # A step compiled by XLA is a function that the graph calls, as a loop's body is.
    called = [function.graph for function in graph._functions.values()]
    return sum(_operations(part) for part in (graph, *called)) / 1e9


def _operations(graph):
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed = set()
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
            waiting += operation.control_inputs
    return sum(_multiplications(operation) for operation in needed) * 2


def _multiplications(operation):
    """Number of results times the products summed in each; 0 for unknown shapes."""
    inputs = [tensor.shape for tensor in operation.inputs]
    outputs = [tensor.shape for tensor in operation.outputs]
    if operation.type in ("MatMul", "BatchMatMulV2"):
        transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
        results = outputs[0]
        # A slice keeps the TensorShape, which knows its number of elements.
        summed = inputs[0][-2:-1] if operation.get_attr(transposed) else inputs[0][-1:]
    elif operation.type == "Conv2D":
        results, summed = outputs[0], inputs[1][:3]
    elif operation.type == "Conv2DBackpropInput":
        results, summed = inputs[2], inputs[1][:3]
    elif operation.type == "Conv2DBackpropFilter":
        results, summed = inputs[2], outputs[0][:3]
    else:
        return 0
    return (results.num_elements() or 0) * (summed.num_elements() or 0)
