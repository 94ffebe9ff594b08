"""How a window moves over an image (height, width, channels), from the top left, for convolution and pooling.

With `is_valid`, windows stay within the image. Otherwise the image is padded.
"""

from __future__ import annotations

from ..declare import *


def _places(size: int, window: int, stride: int, is_valid: bool) -> tuple[int, int]:
    """Return how many positions a window has along one dimension, and how much padding precedes the image."""
    if is_valid:
        return -(-(size - window + 1) // stride), 0
    places = -(-size // stride)
    return places, max((places - 1) * stride + window - size, 0) // 2


@functools.cache
def window_numbers(
    name: str, dim: Dim, window: tuple[int, int], stride: tuple[int, int], is_valid: bool
) -> tuple[int, ...]:
    """Return the numbers that `dynet_kernels.families.windows.WINDOW` names: sizes, strides, padding, positions."""
    height, width, channels = (*dim.dims, 1, 1)[:3]
    if is_valid and (window[0] > height or window[1] > width):
        raise ShapeError(f"{name}: a window of {window} does not fit into x, which is {dim!r}, unless is_valid=False")
    rows, above = _places(height, window[0], stride[0], is_valid)
    columns, left = _places(width, window[1], stride[1], is_valid)
    return (height, width, channels, *window, *stride, above, left, rows, columns)


def image_dim(name: str, x: Expression) -> Dim:
    """Return the shape of an image; a matrix has one channel. Raise ShapeError unless it has 2 or 3 dimensions."""
    dim = shape_of(name, x)
    if not 2 <= len(dim.dims) <= 3:
        raise ShapeError(f"{name}: expected an image x of (height, width, channels), got {dim!r}")
    return dim


def padded(x, window, stride, is_valid, value):
    """Return the image, padded with `value`, and the numbers of positions down and across, for numpy references."""
    x = x.reshape(*x.shape, *[1] * (3 - x.ndim))
    places, widths = [], [(0, 0)] * 3
    for d in range(2):
        count, before = _places(x.shape[d], window[d], stride[d], is_valid)
        needed = (count - 1) * stride[d] + window[d]
        places.append(count)
        widths[d] = (before, max(needed - before - x.shape[d], 0))
    return np.pad(x, widths, constant_values=value), places
