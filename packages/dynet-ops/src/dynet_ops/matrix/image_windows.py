"""How a window moves over an image, for convolution and pooling.

An image has dimensions (height, width, channels). The window starts at the top left and moves by a fixed number of rows
and columns, the strides. Each place that it reaches is a window position. With `is_valid`, windows stay within the
image. Otherwise the image is padded, and windows may reach into the padding.
"""

from __future__ import annotations

from ..declare import *


def _places(size: int, window: int, stride: int, is_valid: bool) -> tuple[int, int]:
    """Return how many positions a window has along one dimension of an image, and how much padding precedes the image.

    Args:
        size: the size of the image along this dimension.
        window: the size of the window.
        stride: the step from one position to the next.
        is_valid: whether windows stay within the image, so that there is no padding.
    """
    if is_valid:
        return -(-(size - window + 1) // stride), 0
    places = -(-size // stride)
    return places, max((places - 1) * stride + window - size, 0) // 2


@functools.cache
def window_numbers(
    name: str, dim: Dim, window: tuple[int, int], stride: tuple[int, int], is_valid: bool
) -> tuple[int, ...]:
    """Return the numbers that tell a kernel how a window moves over an image.

    They are, in the order of `dynet_kernels.families.windows.WINDOW`: the sizes of the image and of the window, the
    strides, how much padding is above and left of the image, and how many positions the window has down and across.

    Args:
        name: the name of the op, for messages.
        dim: the shape of the image.
        window: the height and width of the window.
        stride: by how many rows and columns the window moves from one position to the next.
        is_valid: whether windows stay within the image. Otherwise the image is padded.
    """
    height, width, channels = (*dim.dims, 1, 1)[:3]
    if is_valid and (window[0] > height or window[1] > width):
        raise ShapeError(f"{name}: a window of {window} does not fit into x, which is {dim!r}, unless is_valid=False")
    rows, above = _places(height, window[0], stride[0], is_valid)
    columns, left = _places(width, window[1], stride[1], is_valid)
    return (height, width, channels, *window, *stride, above, left, rows, columns)


def image_dim(name: str, x: Expression) -> Dim:
    """Return the shape of the image x; raise ShapeError unless it has 2 or 3 dimensions.

    A matrix is an image with one channel. `name` is the name of the op for messages.
    """
    dim = shape_of(name, x)
    if not 2 <= len(dim.dims) <= 3:
        raise ShapeError(f"{name}: expected an image x of (height, width, channels), got {dim!r}")
    return dim


def padded(x, window, stride, is_valid, value):
    """Return the image `x`, padded with `value`, and the numbers of window positions down and across.

    This is for the numpy versions of the ops, with which tests compare them. `window` and `stride` each have a number
    for rows and one for columns; if there are more numbers, they are not used.
    """
    x = x.reshape(*x.shape, *[1] * (3 - x.ndim))
    places, widths = [], [(0, 0)] * 3
    for d in range(2):
        count, before = _places(x.shape[d], window[d], stride[d], is_valid)
        needed = (count - 1) * stride[d] + window[d]
        places.append(count)
        widths[d] = (before, max(needed - before - x.shape[d], 0))
    return np.pad(x, widths, constant_values=value), places
