"""Hinge losses. They are 0 if the score of the right choice exceeds all other scores by a margin."""

from __future__ import annotations

from ..declare import *
from ..shape.layout import transpose

_VIEWS = ("y", "x", "picked", "m")
_NUMBERS = {"numbers": ("y", "picked"), "constants": ("m",)}


def _excess(x, picked, m):
    """Return by how much a score is too high. For the right choice this is m, which the loss therefore subtracts."""
    return x - picked + m


def _loss(x, picked, m):
    """Return the loss. Equal scores differ by 0, even infinite ones: inf - inf would be NaN."""
    difference = f.where(f.equal(x, picked), 0, x - picked)
    return f.sum(f.maximum(difference + m, 0)) - f.maximum(m, 0)


KERNELS.add("hinge", Rule(_VIEWS, {"y": _loss}, **_NUMBERS))
KERNELS.add(
    "hinge.dx",
    Rule(
        _VIEWS,
        {
            "dx": lambda x, picked, m, dy: f.where(_excess(x, picked, m) > 0, dy, 0),
            "dpicked": lambda x, picked, m, dy: -dy * f.sum(f.where(_excess(x, picked, m) > 0, 1, 0)),
        },
        **_NUMBERS,
    ),
)


@functools.cache
def _signature(result: Dim, size: int, columns: int, shared: bool, choices: int) -> Signature:
    """Return the signature of nodes that compute a hinge loss for each column of scores.

    If `shared`, the operand has one column for all losses. A node stores 1 right choice, or one for each column.
    """
    stride = 0 if shared else size
    picked = View(0, stride=stride, index=1, index_step=int(choices > 1), scale=1)
    views = [View(SELF, stride=1), View(0, stride=stride), picked, *number_views(1)]
    return computed("hinge", result, (size,), views, columns, name="hinge")


def _record(name: str, x: Expression, result: Dim, size: int, columns: int, choices: Sequence[int], m) -> Expression:
    shared = x.type.total == size and columns > 1
    signature = _signature(result, size, columns, shared, len(choices))
    return node(name, signature, (x,), choices, (finite(name, "m", m),))


def _scores(name: str, x: Expression) -> Dim:
    dim = shape_of(name, x)
    if dim.columns != 1:
        raise ShapeError(f"{name}: expected a vector of scores, got {dim!r}")
    return dim


def _reference(x, v, m=1.0):
    return np.atleast_1d(np.maximum(x - x[v] + m, 0).sum() - max(m, 0))


@recorded(reference=_reference, samples="5 v=3; 17*4 v=0 m=0.5; 2*2 v=0 m=5; 130 v=129; 1*3 v=0")
def hinge(x: Expression, v: Index | Indices, m: Number = 1.0) -> Expression:
    """The hinge loss of scores, y = sum over i != v of max(0, x_i - x_v + m).

    Args:
        x: scores, a vector, with any batch size.
        v: the index of the right choice in all batch elements, or a list with one for each, as in `hinge_batch`.
        m: the margin by which the score of the right choice should exceed the others.

    Raises:
        OutOfRangeError: v is not an index of x.

    >>> hinge(inputVector([1, 3, 0.5]), 0).value()
    3.5
    """
    dim = _scores("hinge", x)
    if nesting(v) == 1:
        return _each("hinge", x, dim, v, m)  # type: ignore[arg-type]  # a list
    choices = checked_indices("hinge", [v], dim.size, dim)
    return _record("hinge", x, Dim.of((1,), dim.batch), dim.size, dim.batch, choices, m)


@recorded(
    reference=lambda x, vs, m=1.0: np.stack(
        [_reference(x[:, b % x.shape[-1]], v, m) for b, v in enumerate(vs)], axis=-1
    ),
    whole_batch=True,
    samples="5*3 vs=[3,0,3]; 17 vs=[16]; 3 vs=[2,0,1] m=2.5; 33*2 vs=[32,1]; 1*2 vs=[0,0]",
)
def hinge_batch(x: Expression, vs: Iterable[Index], m: Number = 1.0) -> Expression:
    """The hinge loss of each vector of scores in a batch, as in `hinge`: vs[b] is the right choice in batch element b.

    If x has no batch, its scores are used with each index in `vs`. The result is a batch with a loss for each index.

    >>> hinge_batch(inputTensor([[1, 2], [3, 0]], batched=True), [0, 1]).npvalue()
    array([[3., 3.]])
    """
    return _each("hinge_batch", x, _scores("hinge_batch", x), vs, m)


def _each(name: str, x: Expression, dim: Dim, vs: Iterable[Index], m: Number) -> Expression:
    choices = checked_indices(name, vs, dim.size, dim)
    if dim.batch not in (1, len(choices)):
        raise ShapeError(f"{name}: {len(choices)} indices for a batch of {dim.batch}")
    return _record(name, x, Dim.of((1,), len(choices)), dim.size, len(choices), choices, m)


def _by_columns(x, v, d=0, m=1.0):
    columns = (x if d == 0 else x.swapaxes(0, 1)).reshape(x.shape[d], -1, x.shape[-1])
    lists = np.broadcast_to(np.atleast_2d(v), (x.shape[-1], columns.shape[1]))
    return np.stack(
        [
            np.concatenate([_reference(columns[:, k, b], one, m) for k, one in enumerate(row)])
            for b, row in enumerate(lists)
        ],
        axis=-1,
    )


@recorded(
    reference=_by_columns,
    whole_batch=True,
    samples="5x3 v=[3,0,3]; 3x5*2 v=[3,0,3] d=1; 17x2*3 v=[16,1] m=0.5; 3x2*2 v=[[2,1],[0,0]]; 4*2 v=[1]; "
    "1x3*2 v=[0,0,0]; 1x5*3 v=[4] d=1",
)
def hinge_dim(x: Expression, v: Indices | Sequence[Indices], d: Index = 0, m: Number = 1.0) -> Expression:
    """The hinge loss of each column of a matrix of scores (d = 0), or of each row (d = 1).

    Args:
        x: the scores, with any batch size.
        v: the indices of the right choices: a list with one for each column (or row), the same for all batch elements;
            or a list of such lists, one for each batch element.
        d: 0 for a loss of each column, 1 for a loss of each row.
        m: the margin by which the score of the right choice should exceed the others.

    >>> hinge_dim(inputTensor([[1, 2], [3, 0]]), [0, 0]).value()
    [3.0, 0.0]
    """
    dim, d = shape_along("hinge_dim", x, d)
    if len(dim.dims) > 2:
        raise ShapeError(f"hinge_dim: expected a matrix of scores, got {dim!r}")
    size, columns = (dim.columns, dim.rows) if d else (dim.rows, dim.columns)
    margin = finite("hinge_dim", "m", m)
    # In a list, an array of one number is an index, or the list of a batch element that has one column.
    has_lists = nesting(v) == 2 or (columns == 1 and is_list(v) and any(map(is_list, v)))  # type: ignore[arg-type]
    lists: Any = v if has_lists else [v]
    if len(lists) not in (1, dim.batch):
        raise ShapeError(f"hinge_dim: {len(lists)} lists of indices for a batch of {dim.batch}")
    choices = []
    for one in lists:
        found = checked_indices("hinge_dim", one, size, f"dimension {d} of x {dim!r}")
        if len(found) != columns:
            raise ShapeError(f"hinge_dim: {len(found)} indices, x {dim!r} has {columns} along the other dimension")
        choices += found
    if len(lists) == 1:
        choices *= dim.batch
    x = transpose(x) if d else x
    return _record("hinge_dim", x, Dim.of((columns,), dim.batch), size, columns * dim.batch, choices, margin)


__all__ = ["hinge", "hinge_batch", "hinge_dim"]
