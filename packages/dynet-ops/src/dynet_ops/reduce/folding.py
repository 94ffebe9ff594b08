"""Sums of neighboring rows or columns."""

from __future__ import annotations

from ..declare import *


def _sum_of_neighbours(name: str, result: Dim, loops: Sequence[Loop], count: int, apart: int) -> Signature:
    """Return the signature of sums of `count` terms that are `apart` floats apart; `loops` copy the first terms."""
    first = collapsed(loops)
    others = collapsed([loops[0], (count - 1, 0, apart), *loops[1:]])
    every = collapsed([loops[0], (count, 0, apart), *loops[1:]])
    forward = [Step("copy", copy_parameters(0, 2, first))]
    if count > 1:
        forward.append(Step("accumulate", copy_parameters(0, 4, others)))
    return Signature(
        result,
        name=name,
        views=[View(SELF), View(0), View(0, offset=apart)],
        forward=forward,
        backward=[Step("accumulate", copy_parameters(3, 1, every, backward=True), gradient_of=0)],
    )


@functools.cache
def _ngram_signature(dim: Dim, width: int) -> Signature:
    rows, columns = dim.rows, dim.columns
    left = columns - width + 1
    batch = (dim.batch, rows * left, dim.size)
    return _sum_of_neighbours("kmh_ngram", Dim.of((rows, left), dim.batch), [(rows * left, 1, 1), batch], width, rows)


def _ngrams(x, v):
    x = x.reshape(len(x), -1)
    return np.stack([x[:, j : j + v].sum(1) for j in range(x.shape[1] - v + 1)], axis=1)


@recorded(reference=_ngrams, samples="3x5 v=2; 17x3*2 v=3; 1x4*3 v=1; 5*2 v=1; 2x9*2 v=5")
def kmh_ngram(x: Expression, v: Index) -> Expression:
    """The sum of every v neighboring columns of a matrix, y_ij = sum over k < v of x_i,j+k.

    A matrix of n columns gives n - v + 1 columns; v is from 1 to n.

    >>> kmh_ngram(inputTensor([[1, 2, 3], [4, 5, 6]]), 2).npvalue()
    array([[ 3.,  5.],
           [ 9., 11.]])
    """
    dim = shape_of("kmh_ngram", x)
    width = checked_count("kmh_ngram", "v", v, 1)
    if len(dim.dims) > 2:
        raise ShapeError(f"kmh_ngram: expected a matrix, got {dim!r}")
    if width > dim.columns:
        raise OutOfRangeError(f"kmh_ngram: v = {width} is more than the number of columns of x, which is {dim!r}")
    return node("kmh_ngram", _ngram_signature(dim, width), (x,))


@functools.cache
def _fold_signature(dim: Dim, nrows: int) -> Signature:
    result = Dim.of((dim.rows // nrows, *(dim.dims[1:] or (1,))), dim.batch)
    return _sum_of_neighbours("fold_rows", result, [(result.total, 1, nrows)], nrows, 1)


@recorded(
    reference=lambda x, nrows=2: x.reshape(len(x) // nrows, nrows, *(x.shape[1:] or (1,))).sum(1),
    samples="4x3; 6x5*3 nrows=3; 2*2; 38x2*2 nrows=1; 14x2x3*2 nrows=7; 1x5*2 nrows=1; 9x1 nrows=3",
)
def fold_rows(x: Expression, nrows: Index = 2) -> Expression:
    """The sum of each group of nrows neighboring rows, y_ij = sum over k < nrows of x_(i nrows + k),j.

    The number of rows of x must be a multiple of nrows.

    >>> fold_rows(inputTensor([[1, 2], [3, 4], [5, 6], [7, 8]])).npvalue()
    array([[ 4.,  6.],
           [12., 14.]])
    """
    dim = shape_of("fold_rows", x)
    nrows = checked_count("fold_rows", "nrows", nrows, 1)
    if dim.rows % nrows:
        raise ShapeError(f"fold_rows: x is {dim!r}: {dim.rows} rows are not a multiple of nrows = {nrows}")
    return node("fold_rows", _fold_signature(dim, nrows), (x,))


__all__ = ["fold_rows", "kmh_ngram"]
