"""User-defined ops: type checkers see them as the decorated function."""

from typing import assert_type

import numpy as np

import dynet as dy
from dynet_kernels import formula as f
from dynet_ops.kinds import columnwise, elementwise


@elementwise(reference=np.add)
def own_gate(x: dy.Expression, slope: float = 0.5) -> dy.Expression:
    return x * f.logistic(slope * x)


@elementwise(reference=np.add)
def own_choice(x: dy.Expression, y: dy.Expression) -> dy.Expression:
    return f.where(f.greater(x, 0), f.maximum(x, 0.5), f.minimum(1, f.power(x, y)))


@columnwise(reference=np.add)
def own_sum(x: dy.Expression) -> dy.Expression:
    return -f.sum(f.absolute(x))


x = dy.inputVector([1.0])
assert_type(own_gate(x, slope=2.0), dy.Expression)
assert_type(own_choice(x, y=x), dy.Expression)
assert_type(own_sum(x), dy.Expression)
own_gate(1)  # type: ignore[arg-type]
own_choice(x)  # type: ignore[call-arg]
