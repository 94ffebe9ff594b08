"""Windows that move over images, for convolution and pooling.

An image has the shape (height, width, channels). It is stored in column-major order: neighbouring elements in memory
are one below the other. The window is put at result_height x result_width positions (r, c) of the image. At position
(r, c), element (i, j, k) of the window lies over element

    (r * row_step + i - above, c * column_step + j - left, k)

of the image, which may be in the padding outside of it. Each column of an instruction is one image. The kernels are:

- Windows: matrix[(r, c), (i, j, k)] = this element of the image, or 0 in the padding. The matrix has a row for each
  position and a column for each element of the window; its shape is (result_height * result_width, window_height *
  window_width * channels). The convolution is then a product with this matrix.
- Windows(backward=True): adds each element of the matrix to the image element from which it was copied.
- LargestInWindow: y[r, c, k] = the maximum over i and j of these elements, without the padding, and places[r, c, k] =
  the offset of the largest element from the beginning of the image.

The emitters assume that the window lies over at least one element of the image at every position. Terms such as
instruction and column: see `families/__init__.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from .. import tir
from ..kernels import NUMBER, Effects, Kernel
from ..tir import int64, let, load, store, vector_loop
from ..tvm_modules import T
from .threads import add_atomically, thread_each

# Parameters that all kernels here have: the shapes of image and window; by how many rows and columns the window moves
# from one position to the next; how many rows of padding are above the image, and how many columns are left of it; and
# at how many positions the window is put, down and across.
WINDOW = (
    "height", "width", "channels", "window_height", "window_width", "row_step", "column_step", "above", "left",
    "result_height", "result_width",
)  # fmt: skip


@dataclass(frozen=True)
class Windows(Kernel):
    """Copies the image elements under the window, at each position, to a row of a matrix.

    With `backward`, it adds the elements of the matrix to the image instead.
    """

    backward: bool = False
    parameters = ("windows", "image", *WINDOW)

    def effects(self, parameters):
        target, image, height, width, channels, window_height, window_width, *_, down, across = parameters
        size = down * across * window_height * window_width * channels
        if self.backward:
            target, size = image, height * width * channels
        return Effects(((target, size),), NUMBER * size)

    def on_cpu(self, instruction, lanes):
        memory = instruction.memory
        windows_role, image_role, *parameters = instruction.parameters
        g = _geometry(parameters)

        def zeros(start, size):
            def step(offset, mask):
                store(memory, let(start + offset), tir.wide(tir.float32(0.0), lanes), mask)

            vector_loop(size, lanes, step)

        def run(seen, image, size):
            """Copy the image elements under one window element, at `size` window positions one below the other.

            They are `row_step` apart in the image, from the address `image` on, and contiguous in the matrix of
            windows, from the address `seen` on. With `backward`, add them from the matrix to the image instead.
            """

            def vectors():
                def step(offset, mask):
                    source, target = (seen, image) if self.backward else (image, seen)
                    value = load(memory, let(source + offset), lanes, mask)
                    at = let(target + offset)
                    store(memory, at, load(memory, at, lanes, mask) + value if self.backward else value, mask)

                vector_loop(size, lanes, step)

            def scalars():
                with T.serial(int64(0), size) as place:
                    at = let(image + place * g.row_step)
                    if self.backward:
                        store(memory, at, load(memory, at, 1) + load(memory, seen + place, 1))
                    else:
                        store(memory, seen + place, load(memory, at, 1))

            tir.choose(g.row_step == int64(1), vectors, scalars)

        def one_column(seen, image, row, left, first, end):
            """Copy the image elements under one window element, at all positions of one column of the result.

            Args:
                seen: where the copies begin in the matrix of windows.
                image: where the element's channel of the image begins.
                row: the row of the image under the window element if the window is in row 0 of its positions. May
                    be negative.
                left: the column of the image under the window element. May be outside of the image.
                first, end: if the window is in one of the rows [first, end) of its positions, the window element
                    lies over a row of the image. In other rows it lies over padding, so that the copies are 0.
            """

            def inside():
                if not self.backward:
                    with tir.when(first > int64(0)):
                        zeros(seen, first)
                    with tir.when(end < g.result_height):
                        zeros(let(seen + end), let(g.result_height - end))
                start = let(image + left * g.height + row + first * g.row_step)
                run(let(seen + first), start, let(end - first))

            def outside():
                if not self.backward:
                    zeros(seen, g.result_height)

            tir.choose(T.And(left >= int64(0), left < g.width), inside, outside)

        with T.serial(int64(0), instruction.count) as column:
            image = instruction.address(image_role, column)
            windows = instruction.address(windows_role, column)
            with T.serial(int64(0), g.channels) as channel:
                with T.serial(int64(0), g.window_height) as i:
                    # At window positions in rows [first, end) of the result, row i of the window is in the image.
                    row = let(i - g.above)
                    first = let(
                        T.max(T.min(T.floordiv(g.row_step - int64(1) - row, g.row_step), g.result_height), int64(0))
                    )
                    below = let(T.floordiv(g.height - int64(1) - row, g.row_step) + int64(1))
                    end = let(T.max(T.min(below, g.result_height), first))
                    with T.serial(int64(0), g.window_width) as j:
                        number = let((channel * g.window_width + j) * g.window_height + i)
                        with T.serial(int64(0), g.result_width) as place:
                            one_column(
                                let(windows + number * g.places + place * g.result_height),
                                let(image + channel * g.plane),
                                row,
                                let(place * g.column_step + j - g.left),
                                first,
                                end,
                            )

    def on_gpu(self, instruction):
        """Emit a CUDA kernel with one thread per element of the matrix of windows."""
        memory = instruction.memory
        windows_role, image_role, *parameters = instruction.parameters
        g = _geometry(parameters)
        size = let(g.places * g.window_height * g.window_width * g.channels)
        with thread_each(instruction, instruction.count * size) as thread:
            column = let(T.floordiv(thread, size))
            rest = let(T.floormod(thread, size))
            seen = let(instruction.address(windows_role, column) + rest)
            i, j, channel, row, place = _unfolded(
                rest,
                (g.result_height, g.result_width, g.window_height, g.window_width, g.channels),
                lambda y, x, i, j, channel: (i, j, channel, y, x),
            )
            top = let(row * g.row_step + i - g.above)
            left = let(place * g.column_step + j - g.left)
            image = let(instruction.address(image_role, column) + channel * g.plane + left * g.height + top)

            def inside():
                if self.backward:
                    add_atomically(memory, image, load(memory, seen, 1))
                else:
                    store(memory, seen, load(memory, image, 1))

            def outside():
                if not self.backward:
                    store(memory, seen, tir.float32(0.0))

            within = T.And(T.And(top >= int64(0), top < g.height), T.And(left >= int64(0), left < g.width))
            tir.choose(within, inside, outside)


@dataclass(frozen=True)
class LargestInWindow(Kernel):
    """Finds the largest element of each channel under the window at each position, and its offset in the image.

    Offsets are int32, whose bits are stored in the float32 memory.
    """

    parameters = ("y", "image", "places", *WINDOW)
    name = "largest_in_window"

    def effects(self, parameters):
        y, _, places, _, _, channels, *_, down, across = parameters
        size = down * across * channels
        return Effects(((y, size), (places, size)), 2 * NUMBER * size)

    def on_cpu(self, instruction, lanes):
        y_role, image_role, places_role, *parameters = instruction.parameters
        g = _geometry(parameters)
        with T.serial(int64(0), instruction.count) as column:
            y, image, places = (instruction.address(role, column) for role in (y_role, image_role, places_role))
            with T.serial(int64(0), g.channels) as channel:
                with T.serial(int64(0), g.result_width) as place:
                    with T.serial(int64(0), g.result_height) as row:
                        _largest_at(instruction.memory, g, y, image, places, channel, row, place)

    def on_gpu(self, instruction):
        """Emit a CUDA kernel with one thread per window position and channel."""
        y_role, image_role, places_role, *parameters = instruction.parameters
        g = _geometry(parameters)
        size = let(g.places * g.channels)
        with thread_each(instruction, instruction.count * size) as thread:
            column = let(T.floordiv(thread, size))
            y, image, places = (instruction.address(role, column) for role in (y_role, image_role, places_role))
            extents = (g.result_height, g.result_width, g.channels)
            row, place, channel = _unfolded(let(T.floormod(thread, size)), extents, lambda *found: found)
            _largest_at(instruction.memory, g, y, image, places, channel, row, place)


def _geometry(parameters):
    """Return an object that has the parameters named in WINDOW as attributes, and two more.

    Its `places` is how many positions the window has, and its `plane` is how many floats one channel of the image has.
    """
    g = SimpleNamespace(**dict(zip(WINDOW, parameters, strict=True)))
    g.places = let(g.result_height * g.result_width)
    g.plane = let(g.height * g.width)
    return g


def _unfolded(number, extents, order):
    """Split the flat index `number` into the indices of nested loops, and return order(*indices).

    Args:
        extents: the number of turns of each loop, innermost first.
        order: puts the indices, innermost first, into the order that the caller wants.
    """
    found = []
    for extent in extents:
        found.append(let(T.floormod(number, extent)))
        number = let(T.floordiv(number, extent))
    return order(*found)


def _largest_at(memory, g, y, image, places, channel, row, place):
    """Find the largest number in one window and one channel; store it in y and its offset in the image in `places`.

    Of equal numbers the first one is taken. NaN counts as larger than any number.

    Args:
        g: what `_geometry` returned.
        y, image, places: the addresses of these arrays.
        row, place: the row and column of the result, which are also the position (r, c) of the window.
    """

    def within(start, window, extent):
        return let(T.max(int64(0) - start, int64(0))), let(T.min(extent - start, window))

    top, left = let(row * g.row_step - g.above), let(place * g.column_step - g.left)
    first_row, end_row = within(top, g.window_height, g.height)
    first_column, end_column = within(left, g.window_width, g.width)
    corner = let(channel * g.plane + left * g.height + top)
    best = tir.Accumulator(1, tir.float32(float("-inf")))
    best_at = tir.IntVariable(corner + first_column * g.height + first_row)
    with T.serial(int64(0), end_column - first_column) as j:
        with T.serial(int64(0), end_row - first_row) as i:
            at = let(corner + (first_column + j) * g.height + first_row + i)
            value = load(memory, let(image + at), 1)
            with tir.when(T.Or(value > best.get(), T.isnan(value))):
                best.set(value)
                best_at.set(at)
    number = let((channel * g.result_width + place) * g.result_height + row)
    store(memory, let(y + number), best.get())
    store(memory, let(places + number), T.reinterpret("float32", T.Cast("int32", best_at.get())))
