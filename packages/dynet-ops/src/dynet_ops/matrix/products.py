"""Matrix products: the operator `*`, `matmul` and `affine_transform`, and contractions of tensors with vectors."""

from __future__ import annotations

from dynet_kernels.layout import NO_VIEW

from ..declare import *
from ..shape.layout import reshape

# Arguments of the product kernels. RESULT_ROLE is the role of view 0, the result. NO_SUMMAND replaces the role of a
# summand if there is none. ALL_COLUMNS replaces the number of adjacent columns that share a matrix if all share one.
RESULT_ROLE, NO_SUMMAND, ALL_COLUMNS = 0, -1, 0


def value_of(view: int) -> int:
    """Return the role of the values of a view."""
    return 2 * view


def gradient_of(view: int) -> int:
    """Return the role of the gradient of a view."""
    return 2 * view + 1


def is_parameter(dim: Dim) -> bool:
    """Return whether `dim` is the Dim of a parameter. (Each parameter has its own Dim.)

    All nodes that multiply by a parameter share one matrix. Its gradient is computed at the end of the backward pass.
    """
    return dim.plain is not dim


def rows_and_columns(name: str, dim: Dim) -> tuple[int, int]:
    """Return rows and columns, without trailing dimensions of size 1; raise ShapeError if there are more dimensions."""
    if not is_matrix(dim):
        raise ShapeError(f"{name}: expected a matrix or vector, got {dim!r}")
    return dim.rows, dim.columns


def product_steps(
    matrix: Dim,
    w: int,
    x: int,
    y: int,
    summand_role: int,
    operand_indices: tuple[int, int],
    x_columns: int = 1,
    batch: int = 1,
    w_shape: tuple[int, int] | None = None,
    first_rows: int | None = None,
):
    """Return (forward step, backward steps, deferred steps) for y = summand + W x, with `first_rows` rows of W.

    A deferred step runs once at the end of the backward pass, for all nodes. It computes the gradient of a parameter W.

    Args:
        matrix: the Dim of W.
        w, x, y: the numbers of the views of W, x and y.
        summand_role: the role of the summand; NO_SUMMAND for y = W x.
        operand_indices: those of W and x among the operands. The backward steps add to their gradients.
        x_columns: how many adjacent columns of x share one W if W has a batch. If not, `batch` times as many share
            it; if W is a parameter, all columns do.
        w_shape: the (rows, columns) of a tensor W that is multiplied as if it were a matrix.
        first_rows: how many rows of W to use; by default all.
    """
    matrix_rows, inner = w_shape or (matrix.rows, matrix.columns)
    sizes = first_rows or matrix_rows, inner, matrix_rows
    sharing = ALL_COLUMNS if is_parameter(matrix) else x_columns if matrix.batch > 1 else x_columns * batch
    forward = Step("product", (*sizes, value_of(w), value_of(x), value_of(y), summand_role, sharing, matrix.copy))
    to_x = *sizes, value_of(w), gradient_of(x), gradient_of(y), sharing, matrix.copy
    x_gradient = Step("product.dx", to_x, operand_indices[1])
    w_gradient = Step("product.dW", (*sizes, gradient_of(w), value_of(x), gradient_of(y), sharing), operand_indices[0])
    return (forward, [x_gradient], [w_gradient]) if is_parameter(matrix) else (forward, [x_gradient, w_gradient], [])


def affine_signature(name: str, dims: Sequence[Dim], has_bias: bool) -> Signature:
    """Return the signature of y = b + W1 x1 + W2 x2 + ...; `dims` are the Dims of b (if `has_bias`), W1, x1, ..."""
    first_pair = int(has_bias)
    if len(dims) % 2 != first_pair:
        raise ArgumentError(f"{name}: an odd number of expressions is needed, got {len(dims)}")
    pairs = [(k, k + 1) for k in range(first_pair, len(dims), 2)]
    shapes = []
    for w, x in pairs:
        (rows, inner), (height, width) = rows_and_columns(name, dims[w]), rows_and_columns(name, dims[x])
        if inner != height:
            hint = f"; operands are {described(dims)}" if len(dims) > 2 else ""
            if dims[w].dims == dims[x].dims:
                hint += "; dy.cmult(x, y) multiplies element by element, dy.dot_product(x, y) also adds up the products"
            raise ShapeError(
                f"{name}: {dims[w]!r} times {dims[x]!r}: inner dimensions differ, {inner} != {height}{hint}"
            )
        shapes.append((rows, width))
    rows, width = shapes[0]
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(f"{name}: products differ in shape: operands are {described(dims)}")
    batch = common_batch(name, dims)
    rank = shortest(dims) if has_bias else as_last(dims)
    result = Dim.of(of_rank((rows, width), rank), batch)
    forward, backward, deferred = [], [], []
    strides = [(dim.rows if (index - first_pair) % 2 else 0, batch_stride(dim)) for index, dim in enumerate(dims)]
    start = value_of(1) if has_bias else NO_SUMMAND
    for w, x in pairs:
        step, backward_steps, deferred_steps = product_steps(dims[w], w + 1, x + 1, 0, start, (w, x), width)
        start = RESULT_ROLE  # each further product is added to the result so far
        forward.append(step)
        backward += backward_steps
        deferred += deferred_steps
    weight_dims = [dims[w] for w, _ in pairs] + [dims[0]] * has_bias
    all_shared = all(map(is_parameter, weight_dims))
    if has_bias:
        bias = dims[0]
        if bias.rows != rows or bias.columns not in (1, width) or not is_matrix(bias):
            raise ShapeError(f"{name}: the bias {bias!r} does not fit the result {result!r}")
        strides[0] = (rows if bias.columns == width > 1 else 0, batch_stride(bias))
        step = copy_step("accumulate", gradient_of(1), gradient_of(0), rows, gradient_of=0)
        (deferred if all_shared else backward).append(step)
    is_one_product = len(pairs) == 1 and width * batch == 1 and all_shared
    return Signature(
        result,
        columns=width * batch,
        views=[View(SELF, stride=rows), *column_views((width, batch), strides)],
        forward=forward,
        backward=backward,
        deferred=deferred,
        determined_by=pairs[0][1] + 1 if is_one_product else NO_VIEW,  # then equal x are multiplied only once
    )


def _outer(dim: Dim) -> Dim:
    """Return the dimensions after the first two, and the batch."""
    return Dim.of(dim.dims[2:] or (1,), dim.batch)


def _first_two(dim: Dim) -> tuple[int, ...]:
    return of_rank(dim.dims, 2)[:2]


def _outer_of_product(a: Dim, b: Dim) -> Dim:
    """Return the further dimensions and the batch of a product of tensors, or raise an error if they do not fit."""
    inner, height = _first_two(a)[1], _first_two(b)[0]
    if inner != height:
        raise ShapeError(f"*: {a!r} times {b!r}: inner dimensions differ, {inner} != {height}")
    try:
        return broadcast("*", (_outer(a), _outer(b)))
    except ShapeError:
        raise ShapeError(f"*: {a!r} times {b!r}: the dimensions after the first two, or the batches, differ") from None


def matmul_signature(a: Dim, b: Dim) -> Signature:
    """Return the signature of a b. Kernels see a tensor of matrices as a batch of matrices."""
    if is_matrix(a) and is_matrix(b):
        return affine_signature("*", (a, b), has_bias=False)
    outer, as_batches = _outer_of_product(a, b), [Dim.of(_first_two(d), _outer(d).total) for d in (a, b)]
    signature = affine_signature("*", as_batches, has_bias=False)
    signature.dim = Dim.of((a.rows, as_batches[1].columns, *outer.dims), outer.batch)
    return signature


def _matmul_of_copies(a: Expression, b: Expression) -> Expression | None:
    """Multiply tensors whose matrices are repeated, unless one of them has a single matrix; kernels repeat that."""
    outer = _outer(a.type), _outer(b.type)
    is_repeated = outer[0] is outer[1] or 1 in (outer[0].total, outer[1].total)
    if is_repeated or (is_matrix(a.type) and is_matrix(b.type)):
        return None
    whole = _outer_of_product(a.type, b.type)
    return matmul(*[repeat(x, Dim.of((*_first_two(x.type), *whole.dims), whole.batch)) for x in (a, b)])


def _matmul_reference(a, b):
    if max(a.ndim, b.ndim) < 3:
        return a @ b
    rank = max(a.ndim, b.ndim)
    a, b = with_rank(a, rank), with_rank(b, rank)
    return np.moveaxis(np.moveaxis(a, (0, 1), (-2, -1)) @ np.moveaxis(b, (0, 1), (-2, -1)), (-2, -1), (0, 1))


@op(
    two_operands("*", matmul_signature, _matmul_of_copies),
    reference=_matmul_reference,
    samples="1x1 1; 3x5 5*3; 17x16 16x4*2; 33x9*2 9x13; 5x7*3 7*3; 100x21 21x9; 5x5 5x5; 17x17*3 17x17*3; 3x5 5x1*2; "
    "3x5x2 5x4x2; 17x6x4*3 6x5x4*3; 3x5 5x2x3*2; 3x5x2x3 5x2*2; 4x3x2*2 3x1x2; 3x2x1x2 2x5x3x2; 3x5x2 5",
)
def matmul(a: Expression, b: Expression) -> Expression:
    """The product of matrices, y = a b. For a matrix and a vector or matrix, it is the same as `a * b`.

    Tensors with more dimensions are tensors of matrices, for example one for each head of attention: each matrix of a
    is multiplied by the matrix of b at the same place. Further dimensions and the batch
    are broadcast.

    Args:
        a: a matrix (m, n), or a tensor (m, n, ...).
        b: a vector (n,), a matrix (n, k), or a tensor (n, k, ...).

    Returns:
        The dimensions (m,), (m, k) or (m, k, ...).

    Raises:
        ShapeError: the shapes do not fit.

    >>> (inputTensor([[1, 2], [3, 4]]) * inputVector([1, 1])).value()
    [3.0, 7.0]
    >>> matmul(ones((2, 3, 8)), ones((3, 5, 8))).dim()
    ((2, 5, 8), 1)
    """
    ...


_record_affine = many_operands(
    "affine_transform",
    lambda *dims: affine_signature("affine_transform", dims, has_bias=True),
    lambda exprs: exprs[0] if len(exprs) == 1 else None,  # a bias alone is the result
)


def _affine_reference(b, *pairs):
    products = sum(with_rank(W, 2) @ with_rank(x, 2) for W, x in zip(pairs[::2], pairs[1::2]))
    return with_rank(products + with_rank(b, 2), 1)


@op(
    _record_affine,
    reference=_affine_reference,
    samples="[1 1x1 1]; [3 3x5 5*3]; [17 17x16 16x3]; [5x3*2 5x4 4x3*2 5x2*2 2x3]; [33*2 33x9 9*2 33x20 20]; "
    "[5*2 5x5 5*2 5x5 5*2]; [17x17 17x17 17x17]; [3x1 3x5 5x1*2]; [3 3x5x1 5x1x1*2 3x2 2]; "
    "[3x1x1 3x5*2 5x2x1]",
)
def affine_transform(exprs: Iterable[Expression]) -> Expression:
    """A sum of matrix products and a bias, y = b + W1 x1 + W2 x2 + ...

    Args:
        exprs: an odd number of expressions b, W1, x1, W2, x2, ...: the bias b of dimensions (m,) or (m, k), then pairs
            of a matrix of dimensions (m, n) and a vector (n,) or matrix (n, k). A bias (m,) is added to every column.

    Returns:
        A vector of dimensions (m,) if the x are vectors (n,) or columns (n, 1), else a matrix of dimensions (m, k).

    Raises:
        ShapeError: the shapes do not fit.

    >>> W, x, b = inputTensor([[1, 2], [3, 4]]), inputVector([1, 1]), inputVector([10, 20])
    >>> affine_transform([b, W, x]).value()
    [13.0, 27.0]
    """
    ...


def _contraction_signature(name: str, *dims: Dim) -> Signature:
    """Return the signature of z_ij = b_ij + sum over k of x_ijk y_k. Kernels see x as a matrix of rows (i, j)."""
    x, y, *bias = dims
    if len(x.dims) != 3 or y.columns != 1:
        raise ShapeError(f"{name}: expected a tensor of 3 dimensions and a vector, got {described(dims)}")
    result_dims, inner = x.dims[:2], x.dims[2]
    if y.rows != inner:
        raise ShapeError(f"{name}: x is {x!r}, y is {y!r}: inner dimensions differ, {inner} != {y.rows}")
    if any(b.dims != result_dims for b in bias):
        raise ShapeError(f"{name}: the bias {bias[0]!r} does not fit the result, which is {result_dims}")
    batch = common_batch(name, dims)
    result = Dim.of(result_dims, batch)
    rows = result.size
    start = value_of(3) if bias else NO_SUMMAND  # the views are: 0 the result, 1 x, 2 y, 3 the bias
    forward, backward, deferred = product_steps(x, 1, 2, 0, start, (0, 1), batch=batch, w_shape=(rows, inner))
    if bias:
        step = copy_step("accumulate", gradient_of(3), gradient_of(0), rows, gradient_of=2)
        (deferred if is_parameter(x) and is_parameter(bias[0]) else backward).append(step)
    return Signature(
        result,
        columns=batch,
        views=by_batch_elements(result, dims),
        forward=[forward],
        backward=backward,
        deferred=deferred,
    )


_CONTRACTION_FUNCTIONS = {
    name: many_operands(name, functools.partial(_contraction_signature, name))
    for name in ("contract3d_1d", "contract3d_1d_bias", "contract3d_1d_1d", "contract3d_1d_1d_bias")
}


def _contraction_reference(x, y, z=None, b=None):
    result = np.einsum("ijk,k->ij", x, y.reshape(-1))
    if z is not None:
        result = result @ z.reshape(-1)
    return result if b is None else result + b


@recorded(reference=_contraction_reference, samples="1x1x1 1; 2x3x5*2 5; 3x2x17 17*3; 5x7x2*2 2*2")
def contract3d_1d(x: Expression, y: Expression) -> Expression:
    """A tensor times a vector, z_ij = sum over k of x_ijk y_k.

    The dimensions of x and y are (I, J, K) and (K,).

    >>> contract3d_1d(inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10])).npvalue()
    array([[21., 43.]])
    """
    return _CONTRACTION_FUNCTIONS["contract3d_1d"]((x, y))


@recorded(
    reference=lambda x, y, b: _contraction_reference(x, y, b=b),
    samples="1x1x1 1 1x1; 2x3x5*2 5 2x3; 3x2x17 17*3 3x2; 5x7x2 2 5x7*2; 5x1x5 5x1*2 5x1*2",
)
def contract3d_1d_bias(x: Expression, y: Expression, b: Expression) -> Expression:
    """A tensor times a vector, with a bias: z_ij = b_ij + sum over k of x_ijk y_k.

    The dimensions of x, y and b are (I, J, K), (K,) and (I, J).

    >>> b = inputTensor([[100, 200]])
    >>> contract3d_1d_bias(inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10]), b).npvalue()
    array([[121., 243.]])
    """
    return _CONTRACTION_FUNCTIONS["contract3d_1d_bias"]((x, y, b))


@recorded(
    reference=_contraction_reference,
    samples="1x1x1 1 1; 2x3x5*2 5 3; 3x2x17 17*3 2; 5x7x2 2 7*2; 3x5x5 5*2 5*2; 2x3x5 5x1 3x1x1*2",
)
def contract3d_1d_1d(x: Expression, y: Expression, z: Expression) -> Expression:
    """A tensor times two vectors, t_i = sum over j, k of x_ijk y_k z_j.

    The dimensions of x, y and z are (I, J, K), (K,) and (J,).

    >>> contract3d_1d_1d(inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10]), inputVector([1, 2])).value()
    107.0
    """
    return _contract_twice("contract3d_1d_1d", x, y, z, [])


@recorded(
    reference=_contraction_reference,
    samples="1x1x1 1 1 1; 2x3x5*2 5 3 2; 3x2x17 17*3 2 3*3; 5x7x2 2 7*2 5; 5x5x5 5*2 5*2 5*2; 2x3x5 5x1x1 3x1*2 2",
)
def contract3d_1d_1d_bias(x: Expression, y: Expression, z: Expression, b: Expression) -> Expression:
    """A tensor times two vectors, with a bias: t_i = b_i + sum over j, k of x_ijk y_k z_j.

    The dimensions of x, y, z and b are (I, J, K), (K,), (J,) and (I,).

    >>> x, y, z, b = inputTensor([[[1, 2], [3, 4]]]), inputVector([1, 10]), inputVector([1, 2]), inputVector([1000])
    >>> contract3d_1d_1d_bias(x, y, z, b).value()
    1107.0
    """
    return _contract_twice("contract3d_1d_1d_bias", x, y, z, [b])


def _contract_twice(name: str, x: Expression, y: Expression, z: Expression, bias: list[Expression]) -> Expression:
    """Return m z + bias, where m_ij = sum over k of x_ijk y_k. All shapes are checked before a node is added."""
    operands = x, y, z, *bias
    graph_of(name, operands)
    dims = [operand.type for operand in operands]
    tensor_dims = dims[0].dims
    if len(tensor_dims) != 3 or dims[1].columns != 1:
        raise ShapeError(f"{name}: expected a tensor of 3 dimensions and a vector, got {described(dims[:2])}")
    if dims[2].columns != 1 or dims[2].rows != tensor_dims[1]:
        raise ShapeError(f"{name}: x is {dims[0]!r}, z is {dims[2]!r}: expected a vector ({tensor_dims[1]},)")
    if any(b.dims != tensor_dims[:1] for b in dims[3:]):
        raise ShapeError(f"{name}: the bias {dims[3]!r} does not fit the result, which is {tensor_dims[:1]}")
    common_batch(name, dims)
    matrix = _CONTRACTION_FUNCTIONS[name]((x, y))
    if bias:
        return affine_transform([*bias, matrix, z])
    return matmul(matrix, z if len(z.type.dims) == 1 else reshape(z, tensor_dims[1:2]))


__all__ = [
    "affine_transform", "contract3d_1d", "contract3d_1d_1d", "contract3d_1d_1d_bias", "contract3d_1d_bias", "matmul",
]  # fmt: skip
