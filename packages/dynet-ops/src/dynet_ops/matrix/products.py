"""Matrix products: the operator `*`, `matmul` and `affine_transform`."""

from __future__ import annotations

from dynet_kernels.layout import NO_VIEW

from ..declare import *

# Parameters of the product kernels. Y is the role of the result. NOTHING, in place of the role of what a product is
# added to, adds it to nothing. SHARED, in place of the number of columns that share a matrix, lets all share it.
Y, NOTHING, SHARED = 0, -1, 0


def value_of(view: int) -> int:
    """Return the role of a view's values: the number by which steps refer to them."""
    return 2 * view


def gradient_of(view: int) -> int:
    """Return the role of the gradient of a view."""
    return 2 * view + 1


def is_shared(matrix: Dim) -> bool:
    """Return whether `matrix` is the Dim of a parameter, which no other value has.

    All nodes that multiply by it share one matrix, so its gradient is computed for all at the end of the backward pass.
    """
    return matrix.plain is not matrix


def as_matrix(name: str, dim: Dim) -> tuple[int, int]:
    """Return rows and columns, without trailing dimensions of size 1; raise ShapeError if there are more dimensions."""
    if not is_matrix(dim):
        raise ShapeError(f"{name}: expected a matrix or vector, got {dim!r}")
    return dim.rows, dim.columns


def product_steps(
    matrix: Dim,
    w: int,
    x: int,
    y: int,
    start: int,
    width: int,
    operands: tuple[int, int],
    shape: tuple[int, int] | None = None,
    first_rows: int | None = None,
):
    """Return (forward step, backward steps, deferred steps) for y = start + W x.

    A deferred step runs once at the end of the backward pass, for all nodes. It computes the gradient of a parameter W.

    Args:
        w, x, y: the numbers of views.
        start: the role of what the product is added to; NOTHING for y = W x.
        width: how many adjacent columns of x share one W. All do if W is a parameter.
        operands: the numbers of W and x among the operands. The steps add to their gradients.
        shape: the (rows, columns) of a tensor W that is multiplied as if it were a matrix.
        first_rows: how many rows of W to use; by default all.
    """
    apart, inner = shape or (matrix.rows, matrix.columns)
    size = first_rows or apart, inner, apart
    group = SHARED if is_shared(matrix) else width
    forward = Step("product", (*size, value_of(w), value_of(x), value_of(y), start, group))
    to_x = Step("product.dx", (*size, value_of(w), gradient_of(x), gradient_of(y), group), operands[1])
    to_w = Step("product.dW", (*size, gradient_of(w), value_of(x), gradient_of(y), group), operands[0])
    return (forward, [to_x], [to_w]) if is_shared(matrix) else (forward, [to_x, to_w], [])


def affine_signature(name: str, dims: Sequence[Dim], has_bias: bool) -> Signature:
    """Return the signature of y = b + W1 x1 + W2 x2 + ..., whose products are added to y in turn."""
    first = int(has_bias)
    if len(dims) % 2 != first:
        raise ArgumentError(f"{name}: an odd number of expressions is needed, got {len(dims)}")
    pairs = [(k, k + 1) for k in range(first, len(dims), 2)]
    shapes = []
    for w, x in pairs:
        (rows, inner), (height, width) = as_matrix(name, dims[w]), as_matrix(name, dims[x])
        if inner != height:
            more = f"; operands are {described(dims)}" if len(dims) > 2 else ""
            if dims[w].dims == dims[x].dims:
                more += "; dy.cmult(x, y) multiplies element by element, dy.dot_product(x, y) also adds up the products"
            raise ShapeError(
                f"{name}: {dims[w]!r} times {dims[x]!r}: inner dimensions differ, {inner} != {height}{more}"
            )
        shapes.append((rows, width))
    rows, width = shapes[0]
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(f"{name}: products differ in shape: operands are {described(dims)}")
    batch = common_batch(name, dims)
    rank = shortest(dims) if has_bias else as_last(dims)
    result = Dim.of(of_rank((rows, width), rank), batch)
    forward, backward, deferred, strides = [], [], [], []
    for place, dim in enumerate(dims):
        own = dim.size if dim.batch > 1 else 0
        if has_bias and place == 0:
            if dim.rows != rows or dim.columns not in (1, width) or not is_matrix(dim):
                raise ShapeError(f"{name}: the bias {dim!r} does not fit the result {result!r}")
            strides.append((rows if dim.columns == width > 1 else 0, own))
        else:
            strides.append((0 if (place - first) % 2 == 0 else dim.rows, own))
    start = value_of(1) if has_bias else NOTHING
    for w, x in pairs:
        step, now, later = product_steps(dims[w], w + 1, x + 1, 0, start, width, (w, x))
        start = Y
        forward.append(step)
        backward += now
        deferred += later
    if has_bias:
        shared = is_shared(dims[0]) and all(is_shared(dims[w]) for w, _ in pairs)
        step = copy_step("accumulate", gradient_of(1), gradient_of(0), rows, gradient_of=0)
        (deferred if shared else backward).append(step)
    parameters = [dims[w] for w, _ in pairs] + [dims[0]] * has_bias
    one_product = len(pairs) == 1 and width * batch == 1 and all(map(is_shared, parameters))
    return Signature(
        result,
        columns=width * batch,
        views=[View(SELF, stride=rows), *column_views((width, batch), strides)],
        forward=forward,
        backward=backward,
        deferred=deferred,
        determined_by=pairs[0][1] + 1 if one_product else NO_VIEW,
    )


def matmul_signature(a: Dim, b: Dim) -> Signature:
    """Return the signature of a product."""
    return affine_signature("*", (a, b), has_bias=False)


@op(
    two_operands("*", matmul_signature),
    reference=lambda W, x: W @ x,
    samples="1x1 1; 3x5 5*3; 17x16 16x4*2; 33x9*2 9x13; 5x7*3 7*3; 100x21 21x9; 5x5 5x5; 17x17*3 17x17*3; 3x5 5x1*2",
)
def matmul(a: Expression, b: Expression) -> Expression:
    """The product of a matrix and a vector or matrix, y = a b. For these operands, it is the same as `a * b`.

    a has the dimensions (m, n), and b has (n,) or (n, k).

    >>> (inputTensor([[1, 2], [3, 4]]) * inputVector([1, 1])).value()
    [3.0, 7.0]
    """
    ...


_affine = many_operands(
    "affine_transform",
    lambda *dims: affine_signature("affine_transform", dims, has_bias=True),
    lambda exprs: exprs[0] if len(exprs) == 1 else None,
)


def _affine_reference(b, *pairs):
    products = sum(
        W.reshape(of_rank(W.shape, 2)) @ x.reshape(of_rank(x.shape, 2)) for W, x in zip(pairs[::2], pairs[1::2])
    )
    result = products + b.reshape(of_rank(b.shape, 2))
    return result.reshape(of_rank(result.shape, 1))


@op(
    _affine,
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


__all__ = ["affine_transform", "matmul"]
