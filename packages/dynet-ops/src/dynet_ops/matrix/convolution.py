"""Convolutions of images and sentences.

A window is the part of an image that is under a filter. A convolution is the product of a matrix that has a row for
each window and a matrix that has a column for each filter.
"""

from __future__ import annotations

from dynet_kernels.families.windows import Windows

from ..declare import *
from .image_windows import image_dim, padded, window_numbers
from .products import NOTHING, gradient_of, value_of

_VIEWS = ("y", "windows", "f", "b")
KERNELS.add("windows", Windows())
KERNELS.add("windows.dx", Windows(backward=True))
KERNELS.add("conv2d.bias", Rule(_VIEWS, {"y": lambda b: b}, numbers=("b",)))
KERNELS.add("conv2d.db", Rule(_VIEWS, {"db": lambda dy: f.sum(dy)}, numbers=("b",)))


# ---------------------------------------------------------------------------------------------------- convolution


@functools.cache
def _windows_signature(dim: Dim, window: tuple[int, ...]) -> Signature:
    """Return the signature of a node that copies each window of an image into a row of a matrix.

    If each window is a single pixel and none is left out, nothing is copied.
    """
    height, width, channels, window_height, window_width, *steps, _, _, rows, columns = window
    result = Dim.of((rows * columns, window_height * window_width * channels), dim.batch)
    if (window_height, window_width, *steps) == (1, 1, 1, 1):
        return alias(result, name="conv2d")
    return Signature(
        result,
        name="conv2d",
        columns=dim.batch,
        views=[View(SELF, stride=result.size), View(0, stride=dim.size)],
        forward=[Step("windows", (0, 2, *window))],
        backward=[Step("windows.dx", (1, 3, *window), gradient_of=0)],
    )


@functools.cache
def _conv2d_signature(name: str, places: tuple[int, int], windows: Dim, *dims: Dim) -> Signature:
    """Return the signature of windows times filters, plus a bias, if any. A column is one channel of one result."""
    batch = common_batch(name, (windows, *dims))
    rows, inner = windows.dims
    filters = dims[0].dims[3]
    extents = (filters, batch)
    strides = [(stride, dim.size if dim.batch > 1 else 0) for dim, stride in zip((windows, *dims), (0, inner, 1))]
    y, x, f = range(3)
    group = filters if windows.batch > 1 else filters * batch
    forward, start = [], NOTHING
    backward = [
        Step("product.dW", (rows, inner, rows, gradient_of(x), value_of(f), gradient_of(y), group), gradient_of=0),
        Step("product.dx", (rows, inner, rows, value_of(x), gradient_of(f), gradient_of(y), group), gradient_of=1),
    ]
    if len(dims) > 1:
        start = value_of(y)
        forward.append(Step("conv2d.bias", (rows,)))
        backward.append(Step("conv2d.db", (rows,), gradient_of=2))
    forward.append(Step("product", (rows, inner, rows, value_of(x), value_of(f), value_of(y), start, group)))
    return Signature(
        Dim.of((*places, filters), batch),
        name=name,
        columns=filters * batch,
        views=[View(SELF, stride=rows), *column_views(extents, strides)],
        forward=forward,
        backward=backward,
    )


def _convolution(
    name: str, x: Expression, f: Expression, bias: list[Expression], stride: tuple[int, int], is_valid
) -> Expression:
    graph = graph_of(name, (x, f, *bias))
    image, filters = image_dim(name, x), f.type.plain
    channels = (*image.dims, 1)[2]
    if len(filters.dims) != 4 or filters.dims[2] != channels:
        raise ShapeError(
            f"{name}: x is {image!r}, so filters must be (height, width, {channels}, filters); they are {filters!r}"
        )
    for b in bias:
        if b.type.dims != (filters.dims[3],):
            raise ShapeError(f"{name}: the bias is {b.type!r}, but there are {filters.dims[3]} filters: {filters!r}")
    common_batch(name, (image, filters, *[b.type for b in bias]))
    window = window_numbers(name, image, filters.dims[:2], stride, checked_flag(name, "is_valid", is_valid))
    windows = _windows_signature(image, window)
    conv = _conv2d_signature(name, window[-2:], windows.dim, filters, *[b.type.plain for b in bias])
    return graph.append(conv, [graph.append(windows, [x.at]).at, f.at, *[b.at for b in bias]])


def _conv2d_reference(x, f, b=None, *, stride, is_valid=True):
    x, (rows, columns) = padded(x, f.shape, stride, is_valid, 0.0)
    result = np.zeros((rows, columns, f.shape[3]))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride[0], j * stride[1]
            seen = x[top : top + f.shape[0], left : left + f.shape[1]]
            result[i, j] = np.tensordot(seen, f, axes=3)
    return result if b is None else result + b


@recorded(
    reference=_conv2d_reference,
    samples="1x1x1 1x1x1x1 stride=[1,1]; 5x4 2x3x1x2 stride=[1,1]; 7x5x3*2 3x2x3x5 stride=[2,1]; "
    "3x4x2 2x2x2x3*3 stride=[1,2]; 5x4x2*2 3x3x2x1*2 stride=[2,3] is_valid=False; "
    "2x3x1*3 4x5x1x2 stride=[1,1] is_valid=False; 19x2x1 2x2x1x3 stride=[1,1] is_valid=False; "
    "3x3x5*2 1x1x5x9 stride=[1,1]",
)
def conv2d(x: Expression, f: Expression, stride: Indices, is_valid: bool = True) -> Expression:
    """The convolution of images with filters, y_ijc = sum over a, b, k of x_(i s0 + a)(j s1 + b)k f_abkc.

    With is_valid=True, filters stay within the image: the height of y is ceil((height - filter height + 1) / s0).
    Otherwise the height of y is ceil(height / s0). The image is then padded with p rows of zeros, floor(p / 2) of them
    above it, for p = max((height of y - 1) s0 + filter height - height, 0). The same holds for widths.

    Args:
        x: images of dimensions (height, width, channels); a matrix has one channel.
        f: filters of dimensions (height, width, channels, filters). y has a channel for each filter.
        stride: s0 and s1, by how many rows and columns a filter moves from one position to the next.

    >>> x, f = inputTensor(np.arange(9).reshape(3, 3, 1)), inputTensor(np.ones((2, 2, 1, 1)))
    >>> conv2d(x, f, [1, 1]).npvalue()[:, :, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    return _convolution("conv2d", x, f, [], checked_pair("conv2d", "stride", stride), is_valid)


@recorded(
    reference=_conv2d_reference,
    samples="1x1x1 1x1x1x1 1 stride=[1,1]; 5x4x2 2x3x2x3 3*2 stride=[1,2]; "
    "5x3x1*2 3x2x1x2 2 stride=[2,1] is_valid=False; 3x3 2x2x1x9*2 9*2 stride=[1,1]; "
    "18x3x1 1x1x1x2 2 stride=[1,1]",
)
def conv2d_bias(x: Expression, f: Expression, b: Expression, stride: Indices, is_valid: bool = True) -> Expression:
    """The convolution of images with filters plus a bias, y_ijc = conv2d(x, f)_ijc + b_c.

    b has the dimensions (filters,). All other arguments are as for `conv2d`.

    >>> x, f = inputTensor(np.arange(9).reshape(3, 3, 1)), inputTensor(np.ones((2, 2, 1, 1)))
    >>> conv2d_bias(x, f, inputVector([100]), [2, 2], is_valid=False).npvalue()[:, :, 0]
    array([[108., 107.],
           [113., 108.]])
    """
    return _convolution("conv2d_bias", x, f, [b], checked_pair("conv2d_bias", "stride", stride), is_valid)


# -------------------------------------------------------------------------------------- one-dimensional convolution


def _filter1d_signature(x: Dim, y: Dim) -> Signature:
    """Return the signature of `filter1d_narrow`. Windows are contiguous, so kernels read them in place as vectors."""
    rows, columns = x.rows, x.columns
    y_dims = of_rank(y.dims, 3)
    if not is_matrix(x) or len(y_dims) != 3 or len(y.dims) < 2:
        raise ShapeError(
            f"filter1d_narrow: expected a matrix x and filters y of (rows, width) or (rows, width, filters), "
            f"got {described((x, y))}"
        )
    _, width, filters = y_dims
    if y.rows != rows or width > columns:
        raise ShapeError(f"filter1d_narrow: filters y do not fit into x: operands are {described((x, y))}")
    places, batch, inner = columns - width + 1, common_batch("filter1d_narrow", (x, y)), rows * width
    result = Dim.of((filters, places), batch)
    extents = (places, batch)
    operands = column_views(extents, [(rows, x.size if x.batch > 1 else 0), (0, y.size if y.batch > 1 else 0)])
    group = places if y.batch > 1 else places * batch
    z, x_at, y_at, change = range(4)
    return Signature(
        result,
        size=result.total + inner * places * batch,
        columns=places * batch,
        views=[View(SELF, stride=filters), *operands, View(SELF, result.total, stride=inner)],
        forward=[
            Step("clear", (filters,)),
            Step("product.dx", (inner, filters, inner, value_of(y_at), value_of(z), value_of(x_at), group)),
        ],
        backward=[  # windows overlap in x: compute each window's gradient in scratch memory, then add it to dx
            Step(
                "product",
                (inner, filters, inner, value_of(y_at), gradient_of(z), gradient_of(change), NOTHING, group),
                gradient_of=0,
            ),
            copy_step("accumulate", gradient_of(x_at), gradient_of(change), inner, gradient_of=0),
            Step(
                "product.dW",
                (inner, filters, inner, gradient_of(y_at), gradient_of(z), value_of(x_at), group),
                gradient_of=1,
            ),
        ],
    )


def _filter1d_reference(x, y):
    y = y.reshape(of_rank(y.shape, 3))
    x = x.reshape(len(x), -1)
    places = x.shape[1] - y.shape[1] + 1
    return np.stack([np.tensordot(y, x[:, p : p + y.shape[1]], axes=([0, 1], [0, 1])) for p in range(places)], axis=1)


@by_dims(
    _filter1d_signature,
    reference=_filter1d_reference,
    samples="1x1 1x1; 3x7*2 3x2; 5x4 5x3x2*3; 17x5*2 17x2x9*2; 2x9 2x9x3; 4 4x1x5; 3x5*2 3x5*2; 3x5 3x2x4x1*2",
)
def filter1d_narrow(x: Expression, y: Expression) -> Expression:
    """The one-dimensional convolution of a sequence of columns with filters, z_fj = sum over i, k of x_i(j + k) y_ikf.

    Filters move from column to column and stay within x, of dimensions (rows, n). y has dimensions (rows, w, filters),
    or (rows, w) for one filter. The result has a row for each filter and n - w + 1 columns, one for each position.

    >>> x, y = inputTensor([[1, 2, 3], [4, 5, 6]]), inputTensor([[1, 1], [0, 10]])
    >>> filter1d_narrow(x, y).npvalue()
    array([[53., 65.]])
    """
    ...


__all__ = ["conv2d", "conv2d_bias", "filter1d_narrow"]
