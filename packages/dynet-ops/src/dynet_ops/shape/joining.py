"""Operations that concatenate expressions along a dimension, or join them into a batch."""

from __future__ import annotations

import itertools

from ..declare import *

# If more operands than this all have one shape, they share a view and a step, which keeps the signature small.
# Otherwise each operand has its own step, and the planner leaves out the steps of operands that need no gradient.
MOST_SEPARATE_STEPS = 4


def _runs_signature(result: Dim, dims: Sequence[Dim], run_sizes: Sequence[int], repeats: int, batch: int) -> Signature:
    """Return the signature of a node that takes a run of adjacent floats from each operand in turn, again and again.

    `run_sizes` has the number of floats in each operand's run. For each of `batch` elements, `repeats` runs of each
    operand are copied. An operand without a batch is repeated.
    """
    total, starts = sum(run_sizes), itertools.accumulate(run_sizes, initial=0)
    transfers = []
    for index, (dim, run, start) in enumerate(zip(dims, run_sizes, starts)):
        loops = [(run, 1, 1), (repeats, total, run), (batch, total * repeats, run * repeats if dim.batch > 1 else 0)]
        transfers.append((View(SELF, offset=start), View(index), loops))
    return copies(result, transfers)


@by_sizes
def _long_signature(result: Dim, run_size: int, run_count: int, count: int) -> Signature:
    """Return the signature of a node that joins `count` operands of one shape, each of `run_count` runs of floats."""
    loops = [(run_size, 1, 1), (run_count, count * run_size, run_size)]
    return copies(result, [(View(SELF, stride=run_size), View(EACH, period=1), loops)], variadic=True)


def _is_long(dims: Sequence[Dim]) -> bool:
    return len(dims) > MOST_SEPARATE_STEPS and len({*dims}) == 1


def concatenate_signature(d: int, name: str, *dims: Dim) -> Signature:
    """Return the signature of a concatenation. Raise ShapeError if operands differ in another dimension."""
    rank = max(d + 1, as_first(dims))
    padded = {dim: of_rank(dim.dims, rank) for dim in set(dims)}
    first_sizes, others = padded[dims[0]], [sizes[:d] + sizes[d + 1 :] for sizes in padded.values()]
    if any([sizes != others[0] for sizes in others]):
        raise ShapeError(f"{name}: dimensions other than {d} differ: operands are {described(dims)}")
    batch = common_batch(name, dims)
    sizes = [padded[dim][d] for dim in dims]
    before, after = math.prod(first_sizes[:d]), math.prod(first_sizes[d + 1 :])
    result = Dim.of((*first_sizes[:d], sum(sizes), *first_sizes[d + 1 :]), batch)
    if _is_long(dims):
        return _long_signature(result, before * sizes[0], after * batch, len(dims))
    return _runs_signature(result, dims, [before * size for size in sizes], after, batch)


def _long_list(shape_text: str, operand_count: int = MOST_SEPARATE_STEPS + 1) -> str:
    return f"[{' '.join([shape_text] * operand_count)}]"


def _join_op(name: str, signature_of: Callable) -> Callable:
    return many_operands(name, by_plain_dims(signature_of))


_ops_by_d = [_join_op("concatenate", functools.partial(concatenate_signature, d, "concatenate")) for d in range(7)]


def _concatenate_slowly(slow_function: Callable, xs: Sequence[Expression], *optional_d: int) -> Expression:
    if not optional_d:
        return slow_function(xs)
    if isinstance(optional_d[0], Expression):
        raise ArgumentTypeError("concatenate: d must be an int; the expressions are one list, concatenate([...])")
    d = whole("concatenate", "an index", optional_d[0])
    if d == 0:
        return concatenate(xs)  # without `d`, the call runs compiled code, which is faster than the code below
    if not 0 <= d < len(_ops_by_d):
        raise OutOfRangeError(f"concatenate: there is no dimension {d}")
    return _ops_by_d[d](xs)


def _concatenate_reference(arrays, d):
    return np.concatenate([with_rank(array, max(d + 1, arrays[0].ndim)) for array in arrays], axis=d)


@op(
    _ops_by_d[0],
    around=_concatenate_slowly,
    reference=lambda *xs, d=0: _concatenate_reference(xs, d),
    samples="[3 5]; [3*2 1 17*2]; [2x3 4x3*2]; [2x3*2 2x1] d=1; [2]; [3*2 3*2]; [2x5 2x5 2x5] d=1; "
    f"[3 5x1x1*2 1x1]; [3x1*2 5]; [3 3*2] d=2; {_long_list('3')}; {_long_list('2x3*2', MOST_SEPARATE_STEPS + 2)}",
)
def concatenate(xs: Iterable[Expression], d: Index = 0) -> Expression:
    """Concatenate the expressions `xs` along dimension d. Their sizes in all other dimensions must be equal.

    The result has as many dimensions as the first expression, but at least d + 1.

    Raises:
        ShapeError: the sizes of other dimensions differ.

    >>> concatenate([inputVector([1, 2]), inputVector([3])]).value()
    [1.0, 2.0, 3.0]
    """
    ...


@op(
    _join_op("concatenate_cols", functools.partial(concatenate_signature, 1, "concatenate_cols")),
    reference=lambda *xs: _concatenate_reference(xs, 1),
    samples=f"[3 3 3]; [3*2 3x4]; [1]; [17x2*3 17x1*3]; [3 3x1x1*2 3x2x1]; {_long_list('3')}; {_long_list('3x2*2')}",
)
def concatenate_cols(xs: Iterable[Expression]) -> Expression:
    """Concatenate vectors or matrices side by side into one matrix. They must have the same number of rows.

    >>> concatenate_cols([inputVector([1, 2]), inputVector([3, 4])]).npvalue()
    array([[1., 3.],
           [2., 4.]])
    """
    ...


def _to_batch_signature(*dims: Dim) -> Signature:
    first_dim = dims[0]
    if any(dim.dims != first_dim.dims for dim in dims):
        raise ShapeError(f"concatenate_to_batch: dimensions differ: operands are {described(dims)}")
    result = Dim.of(first_dim.dims, sum(dim.batch for dim in dims))
    if _is_long(dims):
        return _long_signature(result, first_dim.total, 1, len(dims))
    return _runs_signature(result, dims, [dim.total for dim in dims], 1, 1)


@op(
    _join_op("concatenate_to_batch", _to_batch_signature),
    reference=lambda *xs: np.concatenate(xs, axis=-1),
    whole_batch=True,
    samples=f"[3 3]; [3x2*2 3x2 3x2*3]; [1]; [17*2 17*2]; {_long_list('3x2*2')}",
)
def concatenate_to_batch(xs: Iterable[Expression]) -> Expression:
    """Join expressions of the same dimensions into one batch. It has all their batch elements, in the order of `xs`.

    >>> concatenate_to_batch([inputVector([1, 2]), inputVector([3, 4])]).dim()
    ((2,), 2)
    """
    ...


__all__ = ["concatenate", "concatenate_cols", "concatenate_to_batch"]
