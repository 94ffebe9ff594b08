"""Reshape or transpose expressions, or change only their gradients."""

from __future__ import annotations

from dynet_core.dim import MAX_DIMS
from dynet_core.signature import alias_apart
from dynet_core.signature.by_sizes import by_sizes

from ..copying import MAX_LOOPS, merge_loops
from ..declare import *

_alias_signature = by_sizes(alias)


@recorded(
    reference=lambda x, d: x.reshape(d, order="F"), samples="6 d=(2,3); 2x3*2 d=(3,2); 1x5 d=(5,); 4x3x2*3 d=(2,12)"
)
def reshape(x: Expression, d: Dims, batch_size: Index = 1) -> Expression:
    """The elements of x in a different shape, in the same column-by-column order. Nothing is copied.

    Args:
        d: the new dimensions.
        batch_size: the new batch size. If it is 1, and `d` has as many elements as one batch element of x, the result
            keeps the batch size of x.

    >>> reshape(inputVector([1, 2, 3, 4]), (2, 2)).npvalue()
    array([[1., 3.],
           [2., 4.]])
    """
    old = shape_of("reshape", x)
    new = Dim.of(checked_dims("reshape", d), checked_batch("reshape", batch_size))
    if new.batch > 1 and not np.iterable(d):
        raise ArgumentTypeError(f"reshape: write (x, ({d}, {new.batch})) or, for a batch, (x, ({d},), {new.batch})")
    if new.total != old.total:
        if new.batch != 1 or new.size != old.size:
            raise ShapeError(f"reshape: x is {old!r}, which has {old.total} elements; {new!r} has {new.total}")
        new = Dim.of(new.dims, old.batch)
    return node("reshape", _alias_signature(new), (x,))


def _dim_and_loops(dim: Dim, permutation: tuple[int, ...]) -> tuple[Dim, list[Loop]]:
    """Return the shape of a transpose, whose dimension i is the operand's permutation[i], and the loops of the copy."""
    sizes = of_rank(dim.dims, len(permutation))
    strides = strides_of(dim, Dim.of(sizes))
    result = Dim.of(tuple(sizes[k] for k in permutation), dim.batch)
    loops = [(size, step, strides[k]) for size, step, k in zip(result.dims, strides_of(result, result), permutation)]
    return result, [*loops, (dim.batch, dim.size, dim.size)]


@functools.cache
def _copy_permutations(dim: Dim, permutation: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the permutations of the copies that `transpose` makes, which together have the effect of `permutation`.

    One copy is enough unless it needs more than `MAX_LOOPS` loops. Else each but the last puts one dimension in place.
    """
    if len(merge_loops(_dim_and_loops(dim, permutation)[1])) <= MAX_LOOPS:
        return [permutation]
    position = next(position for position, k in enumerate(permutation) if position != k)
    remaining = [k for k in range(position, len(permutation)) if k != permutation[position]]
    first_permutation = (*range(position), permutation[position], *remaining)
    other_permutation = tuple(first_permutation.index(k) for k in permutation)
    return [first_permutation, *_copy_permutations(_dim_and_loops(dim, first_permutation)[0], other_permutation)]


@by_sizes
def _transpose_signature(dim: Dim, permutation: tuple[int, ...]) -> Signature:
    result, loops = _dim_and_loops(dim, permutation)
    if all(extent == 1 or target == source for extent, target, source in loops):
        return alias(result)  # no element moves
    return copy_of(result, loops)


@recorded(
    reference=lambda x, dims=(1, 0): np.transpose(with_rank(x, len(dims)), dims),
    samples="3x5; 17*2; 1x4*3; 2x3x4*2 dims=(2,0,1); 2x3x4 dims=(1,0,2); 4x3x1*2; 4x1x1*2 dims=(0,); 4x3x1 dims=(0,1)",
)
def transpose(x: Expression, dims: Indices = (1, 0)) -> Expression:
    """The transpose of a matrix, or x with its dimensions in a different order.

    Dimension i of the result is dimension dims[i] of x. Each dimension of x must occur once, except that trailing
    dimensions of size 1 may be left out or added.

    >>> transpose(inputTensor([[1, 2], [3, 4]])).npvalue()
    array([[1., 3.],
           [2., 4.]])
    """
    dim = shape_of("transpose", x)
    if not is_list(dims):
        raise ArgumentTypeError(f"transpose: dims must be a tuple of ints, not {dims!r:.60}")
    permutation = tuple(whole("transpose", "an index", d) for d in dims)
    rank = len(permutation)
    if sorted(permutation) != list(range(rank)) or not 1 <= rank <= MAX_DIMS or len(of_rank(dim.dims, rank)) > rank:
        raise ArgumentError(f"transpose: dims {permutation} is not an order of the dimensions of x, which is {dim!r}")
    for copy_permutation in _copy_permutations(dim, permutation):
        x = node("transpose", _transpose_signature(x.type.plain, copy_permutation), (x,))
    return x


@by_dims(alias_apart, reference=lambda x: x, differentiable=False, samples="3; 17x2*3; 1; 5*2")
def nobackprop(x: Expression) -> Expression:
    """The value of x, unchanged. The result passes no gradient on to x.

    >>> nobackprop(inputVector([1, 2])).value()
    [1.0, 2.0]
    """
    ...


@by_sizes
def _gradient_scaling_signature(dim: Dim) -> Signature:
    return alias_apart(dim, [Step("times_number.dx", (dim.total,), gradient_of=0)], constants=1)


@recorded(
    reference=lambda x, lambd=1.0: x,
    differentiated_as=lambda x, lambd=1.0: lambd * x,
    samples="1 lambd=0.5; 17 lambd=-2.0; 5x3*2 lambd=0.0; 33*3 lambd=3.0",
)
def scale_gradient(x: Expression, lambd: Number = 1.0) -> Expression:
    """The value of x, unchanged. The gradient of x is `lambd` times the gradient of the result.

    >>> x = inputVector([1, 2])
    >>> sum_elems(scale_gradient(x, 3.0)).backward(full=True)
    >>> x.gradient()
    array([3., 3.])
    """
    graph = graph_of("scale_gradient", (x,))
    factor = finite("scale_gradient", "lambd", lambd)
    return graph.append(_gradient_scaling_signature(x.type.plain), [x.at, graph.take((factor,))])


@by_dims(
    lambda dim: alias_apart(dim, [Step("negative.dx", (dim.total,), gradient_of=0)]),
    reference=lambda x: x,
    differentiated_as=lambda x: -x,
    samples="1; 17; 5x3*2; 33*3",
)
def flip_gradient(x: Expression) -> Expression:
    """The value of x, unchanged. The gradient of x is minus the gradient of the result, for adversarial training.

    Source: Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", 2015.

    >>> x = inputVector([1, 2])
    >>> sum_elems(flip_gradient(x)).backward(full=True)
    >>> x.gradient()
    array([-1., -1.])
    """
    ...


__all__ = ["flip_gradient", "nobackprop", "reshape", "scale_gradient", "transpose"]
