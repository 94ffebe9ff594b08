"""Convolutions of images, sentences and vectors, and pooling.

A window is the section of an image under a filter. It moves over an image (height, width, channels) from the top
left. With `is_valid`, windows stay within the image. Otherwise, the image is padded. A convolution is the product of a
matrix with a row for each window and a matrix with a column for each filter.
"""

from __future__ import annotations

from numpy.lib.stride_tricks import sliding_window_view

from dynet_kernels.families.toeplitz import Toeplitz
from dynet_kernels.families.windows import LargestInWindow, Windows

from ..declare import *
from .products import NO_SUMMAND, gradient_of, product_steps, value_of


def _position_count_and_padding(size: int, window: int, stride: int, is_valid: bool) -> tuple[int, int]:
    """Return how many positions a window has along one dimension, and how much padding precedes the image."""
    if is_valid:
        return -(-(size - window + 1) // stride), 0
    positions = -(-size // stride)
    return positions, max((positions - 1) * stride + window - size, 0) // 2


@functools.cache
def window_geometry(
    name: str, dim: Dim, window: tuple[int, int], stride: tuple[int, int], is_valid: bool
) -> tuple[int, ...]:
    """Return the parameters that `families.windows.WINDOW_PARAMETERS` names: sizes, strides, padding, positions."""
    height, width, channels = (*dim.dims, 1, 1)[:3]
    if is_valid and (window[0] > height or window[1] > width):
        raise ShapeError(f"{name}: a window of {window} does not fit into x, which is {dim!r}, unless is_valid=False")
    rows, padding_above = _position_count_and_padding(height, window[0], stride[0], is_valid)
    columns, padding_left = _position_count_and_padding(width, window[1], stride[1], is_valid)
    return (height, width, channels, *window, *stride, padding_above, padding_left, rows, columns)


def image_dim(name: str, x: Expression) -> Dim:
    """Return the shape of an image; a matrix has one channel. Raise ShapeError unless it has 2 or 3 dimensions."""
    dim = shape_of(name, x)
    if not 2 <= len(dim.dims) <= 3:
        raise ShapeError(f"{name}: expected an image x of (height, width, channels), got {dim!r}")
    return dim


def windows_of(x, window, stride, is_valid, value):
    """Return the windows of an image padded with `value`. The last axes are: channel, row and column in the window."""
    x = x.reshape(*x.shape, *[1] * (3 - x.ndim))
    pad_widths = []
    for size, extent, step in zip(x.shape, window, stride):  # of rows, then of columns
        position_count, padding = _position_count_and_padding(size, extent, step, is_valid)
        padded_size = (position_count - 1) * step + extent
        pad_widths.append((padding, max(padded_size - padding - size, 0)))
    image = np.pad(x, [*pad_widths, (0, 0)], constant_values=value)
    return sliding_window_view(image, window, (0, 1))[:: stride[0], :: stride[1]]


_BIAS_VIEWS = ("y", "windows", "f", "b")
KERNELS.add("windows", Windows())
KERNELS.add("windows.dx", Windows(backward=True))
KERNELS.add("conv2d.bias", Rule(_BIAS_VIEWS, {"y": lambda b: b}, numbers=("b",)))
KERNELS.add("conv2d.db", Rule(_BIAS_VIEWS, {"db": lambda dy: f.sum(dy)}, numbers=("b",)))


# ---------------------------------------------------------------------------------------------------- convolution


@by_sizes
def _windows_signature(dim: Dim, geometry: tuple[int, ...]) -> Signature:
    """Return the signature of a node that copies each window of an image into a row of a matrix.

    If each window is a single pixel and no pixel is skipped, nothing is copied.
    """
    height, width, channels, window_height, window_width, *strides, _, _, rows, columns = geometry
    result = Dim.of((rows * columns, window_height * window_width * channels), dim.batch)
    if (window_height, window_width, *strides) == (1, 1, 1, 1):
        return alias(result, name="conv2d")
    return Signature(
        result,
        name="conv2d",
        columns=dim.batch,
        views=[View(SELF, stride=result.size), View(0, stride=dim.size)],
        forward=[Step("windows", (0, 2, *geometry))],  # roles: 0 the result, 2 the image
        backward=[Step("windows.dx", (1, 3, *geometry), gradient_of=0)],  # roles 1, 3: their gradients
    )


@by_sizes
def _conv2d_signature(name: str, position_counts: tuple[int, int], windows: Dim, *dims: Dim) -> Signature:
    """Return the signature of windows times filters, plus a bias, if any. A column is one channel of a result image."""
    batch = common_batch(name, (windows, *dims))
    rows, inner = windows.dims
    filter_count = dims[0].dims[3]
    strides = [(stride, batch_stride(dim)) for dim, stride in zip((windows, *dims), (0, inner, 1))]
    start, bias_steps = value_of(0) if len(dims) > 1 else NO_SUMMAND, []
    forward, backward, _ = product_steps(windows, 1, 2, 0, start, (0, 1), filter_count, batch)
    if len(dims) > 1:
        bias_steps.append(Step("conv2d.bias", (rows,)))
        backward.append(Step("conv2d.db", (rows,), gradient_of=2))
    return Signature(
        Dim.of((*position_counts, filter_count), batch),
        name=name,
        columns=filter_count * batch,
        views=[View(SELF, stride=rows), *column_views((filter_count, batch), strides)],
        forward=[*bias_steps, forward],
        backward=backward,
    )


def _record_convolution(
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
    geometry = window_geometry(name, image, filters.dims[:2], stride, checked_flag(name, "is_valid", is_valid))
    windows = _windows_signature(image, geometry)
    product = _conv2d_signature(name, geometry[-2:], windows.dim, filters, *[b.type.plain for b in bias])
    return graph.append(product, [graph.append(windows, [x.at]).at, f.at, *[b.at for b in bias]])


def _conv2d_reference(x, f, b=None, *, stride, is_valid=True):
    result = np.einsum("ijkab,abkf->ijf", windows_of(x, f.shape[:2], stride, is_valid, 0.0), f)
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
    Otherwise, the height of y is ceil(height / s0), and the image is padded with p rows of zeros, floor(p / 2) of them
    above it, where p = max((height of y - 1) s0 + filter height - height, 0). The same holds for widths.

    Args:
        x: images of dimensions (height, width, channels); a matrix has one channel.
        f: filters of dimensions (height, width, channels, filters). y has a channel for each filter.
        stride: s0 and s1, the numbers of rows and columns by which a filter moves from one position to the next.

    >>> x, f = inputTensor(np.arange(9).reshape(3, 3, 1)), inputTensor(np.ones((2, 2, 1, 1)))
    >>> conv2d(x, f, [1, 1]).npvalue()[:, :, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    return _record_convolution("conv2d", x, f, [], checked_pair("conv2d", "stride", stride), is_valid)


@recorded(
    reference=_conv2d_reference,
    samples="1x1x1 1x1x1x1 1 stride=[1,1]; 5x4x2 2x3x2x3 3*2 stride=[1,2]; "
    "5x3x1*2 3x2x1x2 2 stride=[2,1] is_valid=False; 3x3 2x2x1x9*2 9*2 stride=[1,1]; "
    "18x3x1 1x1x1x2 2 stride=[1,1]",
)
def conv2d_bias(x: Expression, f: Expression, b: Expression, stride: Indices, is_valid: bool = True) -> Expression:
    """The convolution of images with filters plus a bias, y_ijc = conv2d(x, f)_ijc + b_c.

    b has the dimensions (filters,). The other arguments are as for `conv2d`.

    >>> x, f = inputTensor(np.arange(9).reshape(3, 3, 1)), inputTensor(np.ones((2, 2, 1, 1)))
    >>> conv2d_bias(x, f, inputVector([100]), [2, 2], is_valid=False).npvalue()[:, :, 0]
    array([[108., 107.],
           [113., 108.]])
    """
    return _record_convolution("conv2d_bias", x, f, [b], checked_pair("conv2d_bias", "stride", stride), is_valid)


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
    positions, batch, inner = columns - width + 1, common_batch("filter1d_narrow", (x, y)), rows * width
    result = Dim.of((filters, positions), batch)
    operands = column_views((positions, batch), [(rows, batch_stride(x)), (0, batch_stride(y))])
    sharing = positions if y.batch > 1 else positions * batch
    z, x_view, y_view, scratch = range(4)  # the numbers of the views
    return Signature(
        result,
        size=result.total + inner * positions * batch,
        columns=positions * batch,
        views=[View(SELF, stride=filters), *operands, View(SELF, result.total, stride=inner)],
        forward=[
            Step("clear", (filters,)),  # because the next kernel, a product with the transposed y, adds to z
            Step("product.dx", (inner, filters, inner, value_of(y_view), value_of(z), value_of(x_view), sharing, 0)),
        ],
        backward=[  # windows overlap in x: compute each window's gradient in scratch memory, then add it to dx
            Step(
                "product",
                (inner, filters, inner, value_of(y_view), gradient_of(z), gradient_of(scratch), NO_SUMMAND, sharing, 0),
                gradient_of=0,
            ),
            copy_step("accumulate", gradient_of(x_view), gradient_of(scratch), inner, gradient_of=0),
            Step(
                "product.dW",
                (inner, filters, inner, gradient_of(y_view), gradient_of(z), value_of(x_view), sharing),
                gradient_of=1,
            ),
        ],
    )


def _filter1d_reference(x, y):
    y = with_rank(y, 3)
    return np.einsum("ijk,ikf->fj", sliding_window_view(x.reshape(len(x), -1), y.shape[1], 1), y)


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


KERNELS.add("largest_in_window", LargestInWindow())


@by_sizes
def _maxpooling_signature(dim: Dim, geometry: tuple[int, ...]) -> Signature:
    """Return the signature of a max pooling. In memory, indices into x for the backward pass follow the value."""
    result = Dim.of((*geometry[-2:], *dim.dims[2:]), dim.batch)
    return Signature(
        result,
        size=2 * result.total,
        columns=dim.batch,
        views=[View(SELF, stride=result.size), View(0, stride=dim.size), View(SELF, result.total, stride=result.size)],
        forward=[Step("largest_in_window", (0, 2, 4, *geometry))],  # roles: 0 the result, 2 x, 4 the indices
        backward=[Step("scatter", (result.size, 3, 1, 4), gradient_of=0)],  # adds dy (role 1) to dx (role 3)
    )


def _maxpooling_reference(x, ksize, stride, is_valid=True):
    result = windows_of(x, ksize, stride, is_valid, -np.inf).max((3, 4))
    return result.reshape(*result.shape[:2], *x.shape[2:])


@recorded(
    reference=_maxpooling_reference,
    samples="1x1x1 ksize=[1,1] stride=[1,1]; 5x4*2 ksize=[2,3] stride=[1,1]; 7x5x3 ksize=[3,2] stride=[2,2]; "
    "5x4x2*3 ksize=[2,2] stride=[2,3] is_valid=False; 2x3x1 ksize=[4,5] stride=[1,1] is_valid=False",
)
def maxpooling2d(x: Expression, ksize: Indices, stride: Indices, is_valid: bool = True) -> Expression:
    """Max pooling: the largest element under a window, for each position of the window on an image and each channel.

    The window has the same positions as the filters of `conv2d`. With is_valid=False, it may reach into padding, which
    is never the largest element. Of equal elements, the first gets the gradient.

    Args:
        x: images of dimensions (height, width, channels) or (height, width).
        ksize: the height and width of the window.
        stride: the numbers of rows and columns by which the window moves from one position to the next.

    >>> maxpooling2d(inputTensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), [2, 2], [1, 1]).npvalue()
    array([[5., 6.],
           [8., 9.]])
    """
    name = "maxpooling2d"
    dim = image_dim(name, x)
    ksize, stride = checked_pair(name, "ksize", ksize), checked_pair(name, "stride", stride)
    geometry = window_geometry(name, dim, ksize, stride, checked_flag(name, "is_valid", is_valid))
    return node(name, _maxpooling_signature(dim, geometry), (x,))


KERNELS.add("toeplitz", Toeplitz())
_RESULT, _COPIES, _U, _V = range(4)  # the numbers of the views in `_circular_signature`


def _circular_signature(name: str, sign: int, *dims: Dim) -> Signature:
    """Return the signature of z_k = sum over i of u_i v_((k + sign i) mod d).

    `sign` is 1 or -1. In memory, two copies of v follow z, and two of dz follow dz: kernels need no indices modulo d.
    """
    u, v = dims
    if u.dims != v.dims or u.columns != 1:
        raise ShapeError(f"{name}: expected two vectors of one length: operands are {described(dims)}")
    batch, size = common_batch(name, dims), u.size

    def copy_twice(target_role: int, source_role: int, operand: int = -1) -> Step:
        loops = [(size, 1, 1), (2, size, 0), (1, 1, 1), (1, 1, 1)]  # `copy` has four loops; two run only once
        return Step("copy", copy_parameters(target_role, source_role, loops), gradient_of=operand)

    def toeplitz(y: int, a: int, b: int, direction: int, operand: int = -1) -> Step:
        return Step("toeplitz", (y, a, b, size, 0 if direction > 0 else size, direction), gradient_of=operand)

    v_copies, dz_copies = value_of(_COPIES), gradient_of(_COPIES)
    du, dv = gradient_of(_U), gradient_of(_V)
    if sign < 0:
        backward = [toeplitz(du, value_of(_V), dz_copies, 1, 0), toeplitz(dv, value_of(_U), dz_copies, 1, 1)]
    else:
        backward = [toeplitz(du, gradient_of(_RESULT), v_copies, 1, 0), toeplitz(dv, value_of(_U), dz_copies, -1, 1)]
    result = Dim.of(u.dims, batch)
    own_view, *operands = by_batch_elements(result, dims)
    return Signature(
        result,
        size=3 * size * batch,
        columns=batch,
        views=[own_view, View(SELF, offset=size * batch, stride=2 * size), *operands],
        forward=[
            copy_twice(v_copies, value_of(_V)),
            Step("clear", (size,)),
            toeplitz(value_of(_RESULT), value_of(_U), v_copies, sign),
        ],
        backward=[copy_twice(dz_copies, gradient_of(_RESULT), ANY_OPERAND), *backward],
    )


def _circular_reference(u, v, sign):
    k, i = np.indices((len(u), len(u)))
    return v[(k + sign * i) % len(u)] @ u


def _circular_op(name: str, sign: int) -> Callable[[Function], Function]:
    return by_dims(
        functools.partial(_circular_signature, name, sign),
        reference=functools.partial(_circular_reference, sign=sign),
        samples="1 1; 7 7; 16*3 16; 37 37*2; 5*2 5*2; 307 307",
    )


@_circular_op("circ_conv", -1)
def circ_conv(u: Expression, v: Expression) -> Expression:
    """The circular convolution of two vectors of length d, z_k = sum over i of u_i v_((k - i) mod d).

    >>> circ_conv(inputVector([1, 2, 3]), inputVector([0, 1, 0])).value()
    [3.0, 1.0, 2.0]
    """
    ...


@_circular_op("circ_corr", 1)
def circ_corr(u: Expression, v: Expression) -> Expression:
    """The circular correlation of two vectors of length d, z_k = sum over i of u_i v_((i + k) mod d).

    >>> circ_corr(inputVector([1, 0, 0]), inputVector([1, 2, 3])).value()
    [1.0, 2.0, 3.0]
    """
    ...


__all__ = ["circ_conv", "circ_corr", "conv2d", "conv2d_bias", "filter1d_narrow", "maxpooling2d"]
