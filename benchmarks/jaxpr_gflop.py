"""Operations of what JAX has traced: its convolutions and matrix products."""

import math
from typing import Any

from jax.extend.core import jaxprs_in_params

__all__ = ["jaxpr_gflop"]


def jaxpr_gflop(jaxpr: Any) -> float:
    """GFLOP of convolutions and matrix products, a multiplication and sum being two.

    As in the estimates of TensorFlow's steps, padding counts and zeros put between
    pixels don't, so that both gradients of a convolution are each as much as itself.
    The body of a loop counts as often as it is known to run, else once; of branches
    the largest.

    Args:
        jaxpr: a (closed) jaxpr, such as `jax.jit(f).trace(x).jaxpr`.
    """
    return 2 * _multiplications(getattr(jaxpr, "jaxpr", jaxpr)) / 1e9


def _multiplications(jaxpr):
    """Of those equations that the results need: XLA drops the others."""
    needed = set(_variables(jaxpr.outvars))
    total = 0
    for equation in reversed(jaxpr.eqns):
        if needed.isdisjoint(equation.outvars) and not equation.effects:
            continue
        needed.update(_variables(equation.invars))
        total += _of_equation(equation)
    return total


def _variables(atoms):
    # Literals can't be put in a set.
    return (atom for atom in atoms if not hasattr(atom, "val"))


def _of_equation(equation):
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (summed, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return _results(equation) * math.prod(shape[axis] for axis in summed)
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    inside = [_multiplications(part) for part in jaxprs_in_params(params)]
    if name == "cond":
        return max(inside)
    return sum(inside) * (params["length"] if name == "scan" else 1)


def _of_convolution(equation):
    params = equation.params
    numbers = params["dimension_numbers"]
    kernel = equation.invars[1].aval.shape
    _, kernel_channels, *kernel_axes = numbers.rhs_spec
    result = equation.outvars[0].aval.shape
    batch, channels, *axes = numbers.out_spec
    total = result[batch] * result[channels] * kernel[kernel_channels]
    for i, (axis, kernel_axis) in enumerate(zip(axes, kernel_axes, strict=True)):
        total *= _meetings(
            result[axis],
            kernel[kernel_axis],
            stride=params["window_strides"][i],
            dilation=params["rhs_dilation"][i],
            spread=params["lhs_dilation"][i],
            before=params["padding"][i][0],
        )
    return total


def _meetings(places, taps, *, stride, dilation, spread, before):
    """Pairs of a result's place and a kernel's tap, along an axis, that meet a pixel.

    Where pixels are `spread` apart, what is between them is 0.
    """
    return sum(
        (place * stride + tap * dilation - before) % spread == 0
        for place in range(places)
        for tap in range(taps)
    )


def _results(equation):
    return math.prod(equation.outvars[0].aval.shape)
