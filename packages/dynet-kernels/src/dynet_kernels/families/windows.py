"""Windows that move over images (height, width, channels), for convolution and pooling. A column is one image.

Images are stored in column-major order: adjacent elements in memory are one below the other. At each of
result_height x result_width positions (r, c), the window's element (i, j, k) lies over this image element, or padding:

    (r * row_step + i - above, c * column_step + j - left, k)

At every position, the window must lie over at least one element of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from .. import tir
from ..kernels import NUMBER, Effects, Kernel
from ..tir import let, load, serial, store, vector_loop
from ..tvm_modules import T
from .threads import thread_each, thread_each_element

# `row_step` and `column_step` are the window's strides, `above` and `left` the padding above and left of the image.
WINDOW_PARAMETERS = (
    "height", "width", "channels", "window_height", "window_width", "row_step", "column_step", "above", "left",
    "result_height", "result_width",
)  # fmt: skip


@dataclass(frozen=True)
class Windows(Kernel):
    """matrix[(r, c), (i, j, k)] = the image element under element (i, j, k) of the window, or 0 in the padding.

    This is im2col: the matrix has the shape (result_height * result_width, window_height * window_width * channels),
    and a convolution is a product with it. If `backward`, each element of the matrix is added to the image element.
    """

    backward: bool = False
    parameters = ("windows", "image", *WINDOW_PARAMETERS)

    def effects(self, parameters):
        target, image, height, width, channels, window_height, window_width, *_, out_height, out_width = parameters
        size = out_height * out_width * window_height * window_width * channels
        if self.backward:
            target, size = image, height * width * channels
        return Effects(((target, size),), NUMBER * size)

    def on_cpu(self, instruction, lanes):
        memory = instruction.memory
        windows_role, image_role, *parameters = instruction.parameters
        g = _geometry(parameters)

        def store_zeros(start, size):
            def store_vector(offset, mask):
                store(memory, let(start + offset), tir.broadcast(0.0, lanes), mask)

            vector_loop(size, lanes, store_vector)

        def copy_or_add(matrix, image, size):
            """Copy the floats under one window element at `size` positions to the matrix, or add them to the image."""
            # The floats are contiguous from address `matrix`, and `row_step` floats apart from address `image`.

            def move_in_vectors():
                def move_vector(offset, mask):
                    source, target = (matrix, image) if self.backward else (image, matrix)
                    value = load(memory, let(source + offset), lanes, mask)
                    instruction.write(let(target + offset), value, mask, self.backward)

                vector_loop(size, lanes, move_vector)

            def move_one_by_one():
                with serial(size) as position:
                    address = let(image + position * g.row_step)
                    source, target = (matrix + position, address) if self.backward else (address, matrix + position)
                    instruction.write(target, load(memory, source), add=self.backward)

            tir.choose(g.row_step == 1, move_in_vectors, move_one_by_one)

        def copy_or_add_column(matrix, image, row, image_column, first, end):
            """Copy or add, like `copy_or_add`, at all positions (r, c) of one column c of the result."""
            # `row` and `image_column` are the image's row and column under the window element at position (0, c), maybe
            # outside the image. If r is in [first, end), the element is over a row of the image, else over padding.

            def emit_inside():
                if not self.backward:
                    with tir.when(first > 0):
                        store_zeros(matrix, first)
                    with tir.when(end < g.result_height):
                        store_zeros(let(matrix + end), let(g.result_height - end))
                start = let(image + image_column * g.height + row + first * g.row_step)
                copy_or_add(let(matrix + first), start, let(end - first))

            def emit_outside():
                if not self.backward:
                    store_zeros(matrix, g.result_height)

            tir.choose(T.And(image_column >= 0, image_column < g.width), emit_inside, emit_outside)

        with serial(instruction.count) as column:
            image, windows = instruction.addresses(column, image_role, windows_role)
            with serial(g.channels) as channel:
                with serial(g.window_height) as i:
                    # At positions (r, c) with r in [first, end), row i of the window is in the image.
                    row = let(i - g.above)
                    first = let(T.max(T.min(T.floordiv(g.row_step - 1 - row, g.row_step), g.result_height), 0))
                    past_bottom = let(T.floordiv(g.height - 1 - row, g.row_step) + 1)
                    end = let(T.max(T.min(past_bottom, g.result_height), first))
                    with serial(g.window_width) as j:
                        element = let((channel * g.window_width + j) * g.window_height + i)
                        with serial(g.result_width) as result_column:
                            matrix = let(windows + element * g.position_count + result_column * g.result_height)
                            plane = let(image + channel * g.plane_size)
                            image_column = let(result_column * g.column_step + j - g.left)
                            copy_or_add_column(matrix, plane, row, image_column, first, end)

    def on_gpu(self, instruction):
        """Launch one thread per element of the matrix."""
        memory = instruction.memory
        windows_role, image_role, *parameters = instruction.parameters
        g = _geometry(parameters)
        size = let(g.position_count * g.window_height * g.window_width * g.channels)
        with thread_each_element(instruction, size) as (column, element):
            matrix = let(instruction.address(windows_role, column) + element)
            extents = g.result_height, g.result_width, g.window_height, g.window_width, g.channels
            row, result_column, i, j, channel = _unraveled(element, extents)
            top = let(row * g.row_step + i - g.above)
            left = let(result_column * g.column_step + j - g.left)
            image = let(instruction.address(image_role, column) + channel * g.plane_size + left * g.height + top)

            def emit_inside():
                source, target = (matrix, image) if self.backward else (image, matrix)
                instruction.write(target, load(memory, source), add=self.backward)

            def emit_outside():
                if not self.backward:
                    store(memory, matrix, tir.float32(0.0))

            over_image = T.And(T.And(top >= 0, top < g.height), T.And(left >= 0, left < g.width))
            tir.choose(over_image, emit_inside, emit_outside)


@dataclass(frozen=True)
class LargestInWindow(Kernel):
    """y[r, c, k] = the largest element of channel k under the window; offsets[r, c, k] = its offset in the image."""

    parameters = ("y", "image", "offsets", *WINDOW_PARAMETERS)

    def effects(self, parameters):
        y, _, offsets, _, _, channels, *_, out_height, out_width = parameters
        size = out_height * out_width * channels
        return Effects(((y, size), (offsets, size)), 2 * NUMBER * size)

    def on_cpu(self, instruction, lanes):
        y_role, image_role, offsets_role, *parameters = instruction.parameters
        g = _geometry(parameters)
        with serial(instruction.count) as column:
            y, image, offsets = instruction.addresses(column, y_role, image_role, offsets_role)
            with serial(g.channels) as channel:
                with serial(g.result_width) as result_column:
                    with serial(g.result_height) as row:
                        _store_largest(instruction.memory, g, y, image, offsets, channel, row, result_column)

    def on_gpu(self, instruction):
        """Launch one thread per window position and channel."""
        y_role, image_role, offsets_role, *parameters = instruction.parameters
        g = _geometry(parameters)
        size = let(g.position_count * g.channels)
        with thread_each(instruction, instruction.count * size) as thread:
            column = let(T.floordiv(thread, size))
            y, image, offsets = instruction.addresses(column, y_role, image_role, offsets_role)
            extents = (g.result_height, g.result_width, g.channels)
            row, result_column, channel = _unraveled(let(T.floormod(thread, size)), extents)
            _store_largest(instruction.memory, g, y, image, offsets, channel, row, result_column)


def _geometry(parameters):
    """Return an object with the WINDOW_PARAMETERS, the number of positions, and the number of floats of a channel."""
    g = SimpleNamespace(**dict(zip(WINDOW_PARAMETERS, parameters, strict=True)))
    g.position_count = let(g.result_height * g.result_width)
    g.plane_size = let(g.height * g.width)
    return g


def _unraveled(index, extents):
    """Split a flat index into one index for each of `extents`, the fastest-changing first."""
    indices = []
    for extent in extents:
        indices.append(let(T.floormod(index, extent)))
        index = let(T.floordiv(index, extent))
    return indices


def _store_largest(memory, g, y, image, offsets, channel, row, result_column):
    """Store the largest element under the window at position (row, result_column), and its offset in the image."""
    # If several elements are equal, choose the first. NaN is larger than any number.

    def overlap(start, window_size, image_size):
        return let(T.max(0 - start, 0)), let(T.min(image_size - start, window_size))

    top, left = let(row * g.row_step - g.above), let(result_column * g.column_step - g.left)
    first_row, end_row = overlap(top, g.window_height, g.height)
    first_column, end_column = overlap(left, g.window_width, g.width)
    corner = let(channel * g.plane_size + left * g.height + top)
    best = tir.Accumulator(1, float("-inf"))
    best_offset = tir.IntVariable(corner + first_column * g.height + first_row)
    with serial(end_column - first_column) as j:
        with serial(end_row - first_row) as i:
            offset = let(corner + (first_column + j) * g.height + first_row + i)
            value = load(memory, let(image + offset))
            with tir.when(T.Or(value > best.value, T.isnan(value))):
                best.value = value
                best_offset.value = offset
    element = let((channel * g.result_width + result_column) * g.result_height + row)
    store(memory, let(y + element), best.value)
    store(memory, let(offsets + element), T.reinterpret("float32", T.Cast("int32", best_offset.value)))
