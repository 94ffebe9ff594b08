"""Inverses and determinants of matrices, and the trace of a product."""

from __future__ import annotations

from dynet_core.op import OPS
from dynet_kernels.families.linalg import Invert

from ..declare import *
from .products import gradient_of, rows_and_columns, value_of

SCRATCH_PER_ROW = 3  # how many floats of scratch memory the kernel `invert` needs for each row of a matrix

KERNELS.add("invert", Invert())
KERNELS.add(
    "inverse.negate",  # changes the sign of dt: the kernel adds the formula's result to dt, which makes dt + (-2 dt)
    Rule(("y", "x", "t", "work"), {"dt": lambda dt: -2 * dt}),
)


def _log_determinant(pivots):
    """Return the log of the determinant, which is the product of the pivots: NaN if it is negative, -inf if it is 0."""
    log_magnitude, negatives = f.sum(f.log(f.absolute(pivots))), f.sum(f.where(pivots < 0, 1, 0))
    counted_negatives = f.where(f.equal(log_magnitude, float("-inf")), 0, negatives)
    is_odd = f.equal(counted_negatives - 2 * f.floor(counted_negatives / 2), 1)
    return f.where(is_odd, float("nan"), log_magnitude)


add_rules(
    "logdet",
    ("y", "x", "inverse", "pivots"),
    {"y": _log_determinant, "dx": lambda dy, inverse: dy * inverse},
    numbers=("y",),
)


def _square_size(name: str, dim: Dim) -> int:
    if not is_matrix(dim):
        raise ShapeError(f"{name}: expected a matrix or vector, got {dim!r}")
    if dim.rows != dim.columns:
        raise ShapeError(f"{name}: expected a square matrix, got {dim!r}")
    return dim.rows


def make_invertible(arrays: np.ndarray) -> np.ndarray:
    """Turn random arrays into well-conditioned matrices of positive determinants, whose inversion requires pivoting."""
    size = len(arrays)
    matrices = arrays.reshape(size, size, -1) + 1.5 * np.sqrt(size) * np.eye(size)[..., None]  # far from singular
    matrices = matrices[::-1].copy()  # in reverse order of rows, the diagonal elements are too small for pivots
    if size * (size - 1) // 2 % 2:  # so many exchanges of neighbors reverse the rows; each changes the sign
        matrices[0] *= -1
    return matrices.reshape(arrays.shape).astype(arrays.dtype)


def _inverse_signature(dim: Dim) -> Signature:
    """Return the signature of an inversion. The kernels' columns are the columns of the matrices.

    The value is followed in memory by a matrix t, whose gradient holds an intermediate result, and by scratch memory.
    """
    n, batch = _square_size("inverse", dim), dim.batch
    y, x, t = range(3)  # the numbers of the views
    return Signature(
        dim,
        size=2 * dim.total + SCRATCH_PER_ROW * n * batch,
        columns=n * batch,
        views=[
            View(SELF, stride=n),
            View(0, stride=n),
            View(SELF, dim.total, stride=n),
            View(SELF, 2 * dim.total, period=n, outer=SCRATCH_PER_ROW * n),
        ],
        forward=[
            copy_step("copy", value_of(y), value_of(x), n),
            Step("invert", (n, value_of(y), value_of(3), n)),  # view 3 is the scratch memory
        ],
        backward=[  # dx -= (y' dy) y', where y' is y transposed. Three steps: dt += y' dy, dt = -dt, dx += dt y'
            Step("product.dx", (n, n, n, value_of(y), gradient_of(t), gradient_of(y), n, 0), gradient_of=0),
            Step("inverse.negate", (n,), gradient_of=0),
            Step("product.dW", (n, n, n, gradient_of(x), value_of(y), gradient_of(t), n), gradient_of=0),
        ],
    )


_SQUARE_SAMPLES = "1x1; 2x2*3; 5x5; 17x17*2; 16x16"


@by_dims(
    _inverse_signature,
    reference=lambda x: np.linalg.inv(x.reshape(len(x), len(x))).reshape(x.shape),
    samples=_SQUARE_SAMPLES,
    domain=(-1.0, 1.0),
    prepare=make_invertible,
)
def inverse(x: Expression) -> Expression:
    """The inverse of a square matrix, computed by Gaussian elimination with partial pivoting.

    For a singular matrix, some elements of the result are infinite or NaN.

    >>> inverse(inputTensor([[1, 2], [3, 4]])).npvalue().round(4)
    array([[-2. ,  1. ],
           [ 1.5, -0.5]])
    """
    ...


def _logdet_signature(dim: Dim) -> Signature:
    """Return the signature of the logarithm of a determinant.

    The value is followed in memory by the matrix's transposed inverse, which is the gradient, and by scratch memory.
    """
    n, batch = _square_size("logdet", dim), dim.batch
    y, x, inverse, pivots = range(4)  # the numbers of the views
    transposed = copy_parameters(value_of(inverse), value_of(x), collapsed([(n, 1, n), (n, n, 1)]))
    return Signature(
        Dim.of((1,), batch),
        size=batch + dim.total + SCRATCH_PER_ROW * n * batch,
        columns=batch,
        views=[
            View(SELF, stride=1),
            View(0, stride=dim.size),
            View(SELF, batch, stride=dim.size),
            View(SELF, batch + dim.total, stride=SCRATCH_PER_ROW * n),
        ],
        forward=[
            Step("copy", transposed),
            Step("invert", (n, value_of(inverse), value_of(pivots), 1)),
            Step("logdet", (n,)),
        ],
        backward=[Step("logdet.dx", (dim.size,), gradient_of=0)],
    )


@by_dims(
    _logdet_signature,
    reference=lambda x: np.atleast_1d(np.log(np.linalg.det(x.reshape(len(x), len(x))))),
    samples=_SQUARE_SAMPLES,
    domain=(-1.0, 1.0),
    prepare=make_invertible,
)
def logdet(x: Expression) -> Expression:
    """The natural logarithm of the determinant of a square matrix.

    It is -inf for a singular matrix and NaN for a negative determinant.

    >>> logdet(inputTensor([[2, 1], [1, 3]])).npvalue().round(4)
    array([1.6094])
    """
    ...


@recorded(
    reference=lambda x, y: np.atleast_1d(np.trace(x.reshape(len(x), -1) @ y.reshape(len(y), -1).T)),
    samples="1x1 1x1; 5x3*2 5x3; 17x2 17x2*3; 7x7*2 7x7*2; 9 9; 9x1x1 9x1*2",
)
def trace_of_product(x: Expression, y: Expression) -> Expression:
    """The trace of the matrix product of x and transposed y, which is the number z = sum over i, j of x_ij y_ij.

    x and y are matrices of the same dimensions.

    >>> trace_of_product(inputTensor([[1, 2], [3, 4]]), inputTensor([[1, 0], [0, 10]])).value()
    41.0
    """
    graph_of("trace_of_product", (x, y))
    dims = [x.type.plain, y.type.plain]
    for dim in dims:
        rows_and_columns("trace_of_product", dim)
    matched("trace_of_product", dims)
    return OPS["dot_product"].record(x, y)


__all__ = ["inverse", "logdet", "trace_of_product"]
