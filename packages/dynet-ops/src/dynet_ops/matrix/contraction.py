"""Contractions of three-dimensional tensors with vectors."""

from __future__ import annotations

from ..declare import *
from ..shape.layout import reshape
from .products import NOTHING, affine_transform, gradient_of, is_shared, matmul, product_steps, value_of


def _signature(name: str, dims: Sequence[Dim]) -> Signature:
    """Return the signature of z_ij = b_ij + sum over k of x_ijk y_k. To kernels, x has a row for each (i, j)."""
    x, y, *bias = dims
    if len(x.dims) != 3 or y.columns != 1:
        raise ShapeError(f"{name}: expected a tensor of 3 dimensions and a vector, got {described(dims)}")
    if y.rows != x.dims[2]:
        raise ShapeError(f"{name}: x is {x!r}, y is {y!r}: inner dimensions differ, {x.dims[2]} != {y.rows}")
    if any(b.dims != x.dims[:2] for b in bias):
        raise ShapeError(f"{name}: the bias {bias[0]!r} does not fit the result, which is {x.dims[:2]}")
    batch = common_batch(name, dims)
    rows = x.dims[0] * x.dims[1]
    start = value_of(3) if bias else NOTHING
    width = 1 if x.batch > 1 else batch
    forward, backward, deferred = product_steps(x, 1, 2, 0, start, width, (0, 1), shape=(rows, x.dims[2]))
    if bias:
        step = copy_step("accumulate", gradient_of(3), gradient_of(0), rows, gradient_of=2)
        (deferred if is_shared(x) and is_shared(bias[0]) else backward).append(step)
    return Signature(
        Dim.of(x.dims[:2], batch),
        columns=batch,
        views=[View(SELF, stride=rows), *column_views((batch,), [(d.size if d.batch > 1 else 0,) for d in dims])],
        forward=[forward],
        backward=backward,
        deferred=deferred,
    )


def _contraction(name: str):
    return many_operands(name, lambda *dims: _signature(name, dims))


_CONTRACTIONS = {
    name: _contraction(name)
    for name in ("contract3d_1d", "contract3d_1d_bias", "contract3d_1d_1d", "contract3d_1d_1d_bias")
}


def _reference(x, y, z=None, b=None):
    result = np.einsum("ijk,k->ij", x, y.reshape(-1))
    if z is not None:
        result = result @ z.reshape(-1)
    return result if b is None else result + b


@recorded(reference=_reference, samples="1x1x1 1; 2x3x5*2 5; 3x2x17 17*3; 5x7x2*2 2*2")
def contract3d_1d(x: Expression, y: Expression) -> Expression:
    """A tensor times a vector, z_ij = sum over k of x_ijk y_k.

    The dimensions of x and y are (I, J, K) and (K,).

    >>> contract3d_1d(inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10])).npvalue()
    array([[21., 43.]])
    """
    return _CONTRACTIONS["contract3d_1d"]((x, y))


@recorded(
    reference=lambda x, y, b: _reference(x, y, b=b),
    samples="1x1x1 1 1x1; 2x3x5*2 5 2x3; 3x2x17 17*3 3x2; 5x7x2 2 5x7*2; 5x1x5 5x1*2 5x1*2",
)
def contract3d_1d_bias(x: Expression, y: Expression, b: Expression) -> Expression:
    """A tensor times a vector, with a bias: z_ij = b_ij + sum over k of x_ijk y_k.

    The dimensions of x, y and b are (I, J, K), (K,) and (I, J).

    >>> b = inputTensor([[100, 200]])
    >>> contract3d_1d_bias(inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10]), b).npvalue()
    array([[121., 243.]])
    """
    return _CONTRACTIONS["contract3d_1d_bias"]((x, y, b))


@recorded(
    reference=_reference,
    samples="1x1x1 1 1; 2x3x5*2 5 3; 3x2x17 17*3 2; 5x7x2 2 7*2; 3x5x5 5*2 5*2; 2x3x5 5x1 3x1x1*2",
)
def contract3d_1d_1d(x: Expression, y: Expression, z: Expression) -> Expression:
    """A tensor times two vectors, t_i = sum over j, k of x_ijk y_k z_j.

    The dimensions of x, y and z are (I, J, K), (K,) and (J,).

    >>> contract3d_1d_1d(inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10]), inputVector([1, 2])).value()
    107.0
    """
    return _twice("contract3d_1d_1d", x, y, z, [])


@recorded(
    reference=_reference,
    samples="1x1x1 1 1 1; 2x3x5*2 5 3 2; 3x2x17 17*3 2 3*3; 5x7x2 2 7*2 5; 5x5x5 5*2 5*2 5*2; 2x3x5 5x1x1 3x1*2 2",
)
def contract3d_1d_1d_bias(x: Expression, y: Expression, z: Expression, b: Expression) -> Expression:
    """A tensor times two vectors, with a bias: t_i = b_i + sum over j, k of x_ijk y_k z_j.

    The dimensions of x, y, z and b are (I, J, K), (K,), (J,) and (I,).

    >>> x, y, z, b = inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10]), inputVector([1, 2]), inputVector([1000])
    >>> contract3d_1d_1d_bias(x, y, z, b).value()
    1107.0
    """
    return _twice("contract3d_1d_1d_bias", x, y, z, [b])


def _twice(name: str, x: Expression, y: Expression, z: Expression, bias: list[Expression]) -> Expression:
    """Return m z + bias, where m_ij = sum over k of x_ijk y_k. All shapes are checked before a node is added."""
    graph_of(name, (x, y, z, *bias))
    dims = [operand.type for operand in (x, y, z, *bias)]
    tensor = dims[0].dims
    if len(tensor) != 3 or dims[1].columns != 1:
        raise ShapeError(f"{name}: expected a tensor of 3 dimensions and a vector, got {described(dims[:2])}")
    if dims[2].columns != 1 or dims[2].rows != tensor[1]:
        raise ShapeError(f"{name}: x is {dims[0]!r}, z is {dims[2]!r}: expected a vector ({tensor[1]},)")
    if any(b.dims != tensor[:1] for b in dims[3:]):
        raise ShapeError(f"{name}: the bias {dims[3]!r} does not fit the result, which is {tensor[:1]}")
    common_batch(name, dims)
    matrix = _CONTRACTIONS[name]((x, y))
    if bias:
        return affine_transform([*bias, matrix, z])
    return matmul(matrix, z if len(z.type.dims) == 1 else reshape(z, tensor[1:2]))


__all__ = ["contract3d_1d", "contract3d_1d_1d", "contract3d_1d_1d_bias", "contract3d_1d_bias"]
