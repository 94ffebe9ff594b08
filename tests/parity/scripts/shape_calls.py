"""Every op on operands of every rank: op -> name of the call -> how to make it. Importing this needs no DyNet."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from op_cases import Operand


@dataclass(frozen=True)
class Call:
    build: Callable
    """(dy, *operands) -> expression"""
    operands: tuple[Operand, ...]
    drawn: bool = False
    """The values are random; only dimensions are compared."""


CALLS: dict[str, dict[str, Call]] = {}


def add(op: str, build: Callable, *operands: Operand, drawn: bool = False, called: str = "") -> None:
    calls = CALLS.setdefault(op, {})
    name = (called or op) + " " + ", ".join(map(str, operands))
    assert name not in calls, name
    calls[name] = Call(build, operands, drawn)


def batched(*dims: tuple[int, ...], batches=(1, 2)):
    """Each of these dimensions with each batch size."""
    return [Operand(sizes, batch) for sizes in dims for batch in batches]


def named(op, *arguments, **attributes):
    return lambda dy, *xs: getattr(dy, op)(*xs, *arguments, **attributes)


def of_list(op, **attributes):
    return lambda dy, *xs: getattr(dy, op)(list(xs), **attributes)


LISTED = "concatenate concatenate_cols concatenate_to_batch esum average emax logsumexp".split()
SCALARS = [(1,), (1, 1), (1, 1, 1)]
VECTORS = [(4,), (4, 1), (4, 1, 1)]
MATRICES = [(1, 4), (4, 4), (4, 4, 1), (4, 2), (2, 4)]
TENSORS = [(1, 4, 1), (1, 1, 4), (2, 1, 4), (2, 2, 2), (2, 2, 2, 1), (1, 1, 1, 2)]
ONE = batched(*SCALARS, *VECTORS, *MATRICES, *TENSORS)

# ---------------------------------------------------------------------------------------------------- of one operand

ELEMENTWISE = """
    abs acos acosh asin asinh atan atanh cos cosh cube elu erf exp flip_gradient lgamma log log_sigmoid logistic
    nobackprop rectify scale_gradient selu silu sin sinh softsign sqrt square tan tanh
""".split()
OF_ONE = {
    **{op: named(op) for op in ELEMENTWISE},
    **{op: named(op, "zero_gradient") for op in ("ceil", "floor", "round", "argmax")},
    "negative": lambda dy, x: -x,
    "x + 2": lambda dy, x: x + 2.0,
    "x - 2": lambda dy, x: x - 2.0,
    "x * 2": lambda dy, x: x * 2.0,
    "x / 2": lambda dy, x: x / 2.0,
    "2 + x": lambda dy, x: 2.0 + x,
    "2 - x": lambda dy, x: 2.0 - x,
    "2 * x": lambda dy, x: 2.0 * x,
    "2 / x": lambda dy, x: 2.0 / x,
    "x ** 2": lambda dy, x: x**2,
    "pow of a number": lambda dy, x: dy.pow(x, dy.scalarInput(1.5)),
    "to_device": named("to_device", "CPU"),
    **{op: named(op) for op in ("sum_elems", "mean_elems", "std_elems", "squared_norm", "l2_norm")},
    **{op: named(op) for op in ("sum_batches", "mean_batches", "std_batches", "sum_cols")},
    **{f"moment_elems {r}": named("moment_elems", r) for r in (1, 2)},
    **{f"moment_batches {r}": named("moment_batches", r) for r in (1, 2)},
    **{op: named(op) for op in ("sparsemax", "inverse", "logdet", "softmax", "log_softmax", "max_dim", "min_dim")},
    **{op: named(op) for op in ("sum_dim", "logsumexp_dim", "cumsum", "transpose", "fold_rows")},
    "log_softmax restricted": lambda dy, x: dy.log_softmax(x, [0]),
    "pickneglogsoftmax": named("pickneglogsoftmax", 0),
    "pickneglogsoftmax 1": named("pickneglogsoftmax", 1),
    "hinge": named("hinge", 0),
    "hinge 1": named("hinge", 1),
    "poisson_loss": named("poisson_loss", 2),
    "kmh_ngram": named("kmh_ngram", 1),
    "kmh_ngram 2": named("kmh_ngram", 2),
    "fold_rows 1": named("fold_rows", 1),
    "fold_rows 4": named("fold_rows", 4),
    "transpose by hand": lambda dy, x: dy.transpose(x, [1, 0]),
    "transpose 3": lambda dy, x: dy.transpose(x, [1, 0, 2]),
    "transpose 3 turned": lambda dy, x: dy.transpose(x, [2, 0, 1]),
    "transpose 1": lambda dy, x: dy.transpose(x, [0]),
    "maxpooling2d": named("maxpooling2d", [1, 1], [1, 1]),
    "maxpooling2d 2": named("maxpooling2d", [2, 1], [1, 2]),
    "maxpooling2d same": named("maxpooling2d", [2, 2], [1, 1], False),
    "select_rows": named("select_rows", [0]),
    "select_rows 2": named("select_rows", [0, 0]),
    "select_cols": named("select_cols", [0]),
    "select_cols 2": named("select_cols", [0, 0]),
    "strided_select": lambda dy, x: dy.strided_select(x, [2], [], []),
    "strided_select of none": lambda dy, x: dy.strided_select(x, [], [], []),
    "strided_select 2": lambda dy, x: dy.strided_select(x, [1, 2], [0, 0], [1, 1]),
    "strided_select 3": lambda dy, x: dy.strided_select(x, [1, 1, 1], [0, 0, 0], [1, 1, 1]),
    "pick_batch_elem": named("pick_batch_elem", 0),
    "x[0]": lambda dy, x: x[0],
    "x[-1]": lambda dy, x: x[-1],
    "x[0:1]": lambda dy, x: x[0:1],
    "x[:]": lambda dy, x: x[:],
    "x[0:1, 0:1]": lambda dy, x: x[0:1, 0:1],
    "x[:, 0:1]": lambda dy, x: x[:, 0:1],
    "dropout of nothing": named("dropout", 0.0),
    "dropout_batch of nothing": named("dropout_batch", 0.0),
    "block_dropout of nothing": named("block_dropout", 0.0),
    "noise of nothing": named("noise", 0.0),
    **{f"{op} of one": of_list(op) for op in (*LISTED, "affine_transform")},
}
for op, build in OF_ONE.items():
    for x in ONE:
        add(op, build, x)
for op in ("dropout", "dropout_batch", "block_dropout", "noise"):
    for x in ONE:
        add(op, named(op, 0.5), x, drawn=True)

ALONG = {
    "sum_dim": lambda dy, x, d: dy.sum_dim(x, [d]),
    "mean_dim": lambda dy, x, d: dy.mean_dim(x, [d], False),
    "std_dim": lambda dy, x, d: dy.std_dim(x, [d], False),
    "moment_dim": lambda dy, x, d: dy.moment_dim(x, [d], 2, False),
    "sum_dim, batch": lambda dy, x, d: dy.sum_dim(x, [d], True),
    "mean_dim, batch": lambda dy, x, d: dy.mean_dim(x, [d], True),
    "std_dim, batch": lambda dy, x, d: dy.std_dim(x, [d], True),
    "moment_dim, batch": lambda dy, x, d: dy.moment_dim(x, [d], 2, True),
    "sum_dim, to d": lambda dy, x, d: dy.sum_dim(x, list(range(d)), True),
    "mean_dim, to d": lambda dy, x, d: dy.mean_dim(x, list(range(d)), True),
    **{op: lambda dy, x, d, op=op: getattr(dy, op)(x, d)
       for op in ("max_dim", "min_dim", "logsumexp_dim", "cumsum", "softmax", "log_softmax")},
    "pick": lambda dy, x, d: dy.pick(x, 0, d),
    "pick 1": lambda dy, x, d: dy.pick(x, 1, d),
    "pick of each": lambda dy, x, d: dy.pick(x, [0] * x.dim()[1], d),
    "pick_batch": lambda dy, x, d: dy.pick_batch(x, [0] * x.dim()[1], d),
    "pick_range": lambda dy, x, d: dy.pick_range(x, 0, 1, d),
    "pick_range of two": lambda dy, x, d: dy.pick_range(x, 0, 2, d),
    "pickrange": lambda dy, x, d: dy.pickrange(x, 0, 1, d),
    "kmax_pooling": lambda dy, x, d: dy.kmax_pooling(x, 1, d),
    "kmax_pooling of two": lambda dy, x, d: dy.kmax_pooling(x, 2, d),
    "hinge_dim": lambda dy, x, d: dy.hinge_dim(x, [0], d),
    "hinge_dim of two": lambda dy, x, d: dy.hinge_dim(x, [0, 0], d),
    "hinge_dim of four": lambda dy, x, d: dy.hinge_dim(x, [0, 0, 0, 0], d),
}  # fmt: skip
"""Ops along a dimension: (dy, x, d) -> expression"""
for op, build in ALONG.items():
    for d, x in itertools.product(range(4), ONE):
        add(op, functools.partial(build, d=d), x, called=f"{op} {d}")
FIRST_AND = {
    "sum_dim of two": lambda dy, x, d: dy.sum_dim(x, [0, d]),
    "mean_dim of two": lambda dy, x, d: dy.mean_dim(x, [0, d], False),
    "std_dim of two": lambda dy, x, d: dy.std_dim(x, [0, d], False),
    "moment_dim of two": lambda dy, x, d: dy.moment_dim(x, [0, d], 2, False),
}
for op, build in FIRST_AND.items():
    for d, x in itertools.product(range(1, 4), ONE):
        add(op, functools.partial(build, d=d), x, called=f"{op}, 0 {d}")
for d, x in itertools.product(range(4), ONE):
    add("dropout_dim", named("dropout_dim", d, 0.5), x, drawn=True, called=f"dropout_dim {d}")

EACH_ELEMENT = {
    "pickneglogsoftmax_batch": lambda dy, x: dy.pickneglogsoftmax_batch(x, [0] * x.dim()[1]),
    "pickneglogsoftmax of a list": lambda dy, x: dy.pickneglogsoftmax(x, [0] * x.dim()[1]),
    "hinge_batch": lambda dy, x: dy.hinge_batch(x, [0] * x.dim()[1]),
    "pick_batch_elems": lambda dy, x: dy.pick_batch_elems(x, [0, x.dim()[1] - 1]),
    "pick_batch_elems, one": lambda dy, x: dy.pick_batch_elems(x, [0]),
}
for op, build in EACH_ELEMENT.items():
    for x in ONE:
        add(op, build, x)
for shape in [*SCALARS, *VECTORS, (1, 4), (2, 2), (2, 2, 1), (8,), (4, 2, 1), (4, 4), (16, 1)]:
    for batch, x in itertools.product((1, 2), ONE):
        add("reshape", named("reshape", shape, batch), x, called=f"reshape {Operand(shape, batch)} of")

import shape_calls_several  # noqa: E402, F401  # adds its own
