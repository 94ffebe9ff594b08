"""Max pooling of images."""

from __future__ import annotations

from dynet_kernels.families.windows import LargestInWindow

from ..declare import *
from .image_windows import image_dim, padded, window_numbers

KERNELS.add("largest_in_window", LargestInWindow())


@functools.cache
def _maxpooling_signature(dim: Dim, window: tuple[int, ...]) -> Signature:
    """Return the signature of a max pooling. Its value is followed by the elements' indices, for the backward pass."""
    result = Dim.of((*window[-2:], *dim.dims[2:]), dim.batch)
    return Signature(
        result,
        size=2 * result.total,
        columns=dim.batch,
        views=[
            View(SELF, stride=result.size),
            View(0, stride=dim.size),
            View(SELF, result.total, stride=result.size),
        ],
        forward=[Step("largest_in_window", (0, 2, 4, *window))],
        backward=[Step("scatter", (result.size, 3, 1, 4), gradient_of=0)],
    )


def _maxpooling_reference(x, ksize, stride, is_valid=True):
    image, (rows, columns) = padded(x, ksize, stride, is_valid, -np.inf)
    result = np.zeros((rows, columns, image.shape[2]))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride[0], j * stride[1]
            result[i, j] = image[top : top + ksize[0], left : left + ksize[1]].max((0, 1))
    return result.reshape(rows, columns, *x.shape[2:])


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
        stride: by how many rows and columns the window moves from one position to the next.

    >>> maxpooling2d(inputTensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), [2, 2], [1, 1]).npvalue()
    array([[5., 6.],
           [8., 9.]])
    """
    name = "maxpooling2d"
    dim = image_dim(name, x)
    ksize, stride = checked_pair(name, "ksize", ksize), checked_pair(name, "stride", stride)
    window = window_numbers(name, dim, ksize, stride, checked_flag(name, "is_valid", is_valid))
    return node(name, _maxpooling_signature(dim, window), (x,))


__all__ = ["maxpooling2d"]
