"""Cases of the basic ops: name -> how to build it, and its operands. Importing this needs no DyNet."""

import math
from collections.abc import Callable
from dataclasses import dataclass

BATCH = 3


@dataclass(frozen=True)
class Operand:
    dims: tuple[int, ...]
    batch: int = 1

    @property
    def size(self) -> int:
        return math.prod(self.dims) * self.batch

    def __str__(self):
        return str(self.dims) + (f"x{self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True)
class Case:
    build: Callable
    """(dy, *operands) -> expression"""
    operands: tuple[Operand, ...]
    low: float = -2.0
    high: float = 2.0
    defect: str = ""
    """What DyNet 2.1 gets wrong; the case must then come out differently."""


CASES: dict[str, Case] = {}


def one(*dims):
    return Operand(dims)


def many(*dims):
    return Operand(dims, BATCH)


def add(name, build, *operands, low=-2.0, high=2.0, defect=""):
    full_name = f"{name} " + ", ".join(map(str, operands))
    assert full_name not in CASES
    CASES[full_name] = Case(build, operands, low, high, defect)


def named(op, **arguments):
    return lambda dy, *xs: getattr(dy, op)(*xs, **arguments)


def listed(op, **arguments):
    return lambda dy, *xs: getattr(dy, op)(list(xs), **arguments)


for operand in (one(4), one(3, 2), one(2, 3, 2), many(4), many(3, 2)):
    for op in ("tanh", "logistic", "rectify", "exp", "square", "sum_elems", "squared_norm", "nobackprop"):
        add(op, named(op), operand)
    add("log", named("log"), operand, low=0.2, high=3.0)
    add("sum_batches", named("sum_batches"), operand)
    add("negative", lambda dy, x: -x, operand)
    add("x + 2.5", lambda dy, x: x + 2.5, operand)
    add("x - 2.5", lambda dy, x: x - 2.5, operand)
    add("x * 2.5", lambda dy, x: x * 2.5, operand)
    add("x / 2.5", lambda dy, x: x / 2.5, operand)
    add("dropout at rate 0", lambda dy, x: dy.dropout(x, 0.0), operand)

ALIKE = [
    (one(4), one(4)),
    (one(3, 2), one(3, 2)),
    (many(4), many(4)),
    (many(4), one(4)),
    (one(3, 2), many(3, 2)),
]
for x, y in ALIKE:
    add("x + y", lambda dy, x, y: x + y, x, y)
    add("x - y", lambda dy, x, y: x - y, x, y)
    add("cmult", named("cmult"), x, y)
    add("dot_product", named("dot_product"), x, y)
    add("squared_distance", named("squared_distance"), x, y)
for x, y in [(one(4), one(4)), (one(3, 2), one(3, 2)), (many(4), many(4)), (many(4), one(4))]:
    add("cdiv", named("cdiv"), x, y, low=0.5, high=2.0)

BROADCAST = [
    (one(3, 2), one(3)),
    (one(3, 2), one(1, 2)),
    (one(3, 2), one(1)),
    (many(3, 2), one(3)),
    (many(4), one(1)),
]
for x, y in BROADCAST:
    add("x + y", lambda dy, x, y: x + y, x, y)
    add("x - y", lambda dy, x, y: x - y, x, y)
    add("y + x", lambda dy, x, y: y + x, x, y)
    add("cmult", named("cmult"), x, y)
    add("cmult turned", lambda dy, x, y: dy.cmult(y, x), x, y)
    add("cdiv", named("cdiv"), x, y, low=0.5, high=2.0)

PRODUCTS = [
    (one(3, 4), one(4)),
    (one(3, 4), one(4, 2)),
    (one(1, 4), one(4)),
    (one(3, 4), many(4)),
    (one(3, 4), many(4, 2)),
    (many(3, 4), one(4)),
    (many(3, 4), many(4, 2)),
]
for W, x in PRODUCTS:
    add("W * x", lambda dy, W, x: W * x, W, x)
    rows = W.dims[0]
    bias = one(rows, x.dims[1]) if len(x.dims) > 1 else one(rows)
    add("affine_transform", listed("affine_transform"), bias, W, x)
    add("affine_transform twice", listed("affine_transform"), bias, W, x, W, x)
add("affine_transform, bias repeated", listed("affine_transform"), one(3), one(3, 4), one(4, 2))
add("affine_transform, bias batched", listed("affine_transform"), many(3), one(3, 4), one(4))
add("affine_transform, bias alone", listed("affine_transform"), one(3))
add("x * s", lambda dy, x, s: x * s, one(4), one(1))

for x in (one(5), one(4, 3), many(5)):
    add("softmax", named("softmax"), x)
    add("log_softmax", named("log_softmax"), x)
    add("max_dim", named("max_dim"), x)
add("softmax along rows", named("softmax", d=1), one(4, 3))
add("log_softmax restricted", lambda dy, x: dy.pickrange(dy.log_softmax(x, [1, 3]), 3, 4), one(5))
add("max_dim 1", named("max_dim", d=1), one(4, 3))
add("pickneglogsoftmax", lambda dy, x: dy.pickneglogsoftmax(x, 2), one(5))
add("pickneglogsoftmax_batch", lambda dy, x: dy.pickneglogsoftmax_batch(x, [2, 0, 4]), many(5))

for x in (one(5), many(5)):
    add("pick", named("pick", index=3), x)
    add("pickrange", lambda dy, x: dy.pickrange(x, 1, 4), x)
add("pick row", named("pick", index=1), one(4, 3))
add("pick column", named("pick", index=1, dim=1), one(4, 3))
add("x[i]", lambda dy, x: x[2], one(5))
add("x[-1]", lambda dy, x: x[-1], one(5))
add("x[i:j]", lambda dy, x: x[1:4], one(5))

add("concatenate", listed("concatenate"), one(2), one(3), one(1))
add("concatenate", listed("concatenate"), one(2, 2), one(3, 2))
add("concatenate", listed("concatenate"), many(2), one(3), many(2))
add("concatenate columns by d", listed("concatenate", d=1), one(3, 1), one(3, 2))
add("concatenate the same twice", lambda dy, x: dy.concatenate([x, x]), one(3))
add("concatenate_cols", listed("concatenate_cols"), one(3), one(3), one(3, 2))
add("concatenate_cols", listed("concatenate_cols"), many(3), one(3))
add("concatenate_to_batch", listed("concatenate_to_batch"), one(3), one(3))
add("concatenate_to_batch", listed("concatenate_to_batch"), one(3), many(3))
add("esum", listed("esum"), one(4), one(4), one(4))
add("esum", listed("esum"), many(4), many(4))
add("esum of one", listed("esum"), one(4))
add("esum the same twice", lambda dy, x, y: dy.esum([x, y, x]), one(4), one(4))
add("average", listed("average"), one(4), one(4), one(4))
add("average", listed("average"), many(4), many(4))

add("transpose", named("transpose"), one(4, 3))
add("transpose", named("transpose"), one(4))
add("transpose", named("transpose"), many(4, 3))
add("transpose dims", named("transpose", dims=[2, 0, 1]), one(2, 3, 4))
add("reshape", lambda dy, x: dy.reshape(x, (2, 6)), one(4, 3))
add("reshape to a vector", lambda dy, x: dy.reshape(x, (12,)), one(4, 3))
add("reshape, batched", lambda dy, x: dy.reshape(x, (2, 2), BATCH), many(4))
add("reshape into a batch", lambda dy, x: dy.reshape(x, (4,), BATCH), one(4, 3))

# An operand used more than once, on paths of different lengths.
add("x * x + x", lambda dy, x: dy.cmult(x, x) + x, one(4))
add("tanh(x) * x", lambda dy, x: dy.cmult(dy.tanh(x), x), many(4))
add("W * (W * x)", lambda dy, W, x: W * (W * x), one(4, 4), one(4))

import op_cases_math  # noqa: E402, F401  # adds its own
import op_cases_reduce  # noqa: E402, F401  # adds its own to CASES
import op_cases_struct  # noqa: E402, F401  # adds its own
