"""The memory of a parameter, and its rows in PARAMETER_ROWS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from dynet_kernels.families.products.quantized import packed, to_int8
from dynet_kernels.table import IF_QUANTIZED, KERNELS

from .. import config
from ..annotations import Floats, Numbers
from ..compute import device
from ..compute.engine import keep_for_graphs
from ..compute.memory import Block, HostBlock, allocate_block
from ..compute.parameter_rows import PARAMETER_ROWS, ParameterIdentity, RetiredIdentity
from ..errors import ArgumentError, GradientError
from ..graph.graph import REPEATED_MODE, Graph, repeat_backward, thread
from ..recorder import pass_count


class Storage:
    """The values and the gradient of a parameter, and its rows in PARAMETER_ROWS.

    A lookup parameter is a table of `row_count` rows. Its `touched_list` lists rows with a gradient: their number;
    their indices, with room for all rows; for each row, 1 if it is listed, or 0; and 1 if a graph used the whole table,
    so that any row may have a gradient, or 0. A parameter of size 0 has no `touched_list` and no gradient.

    If the values are quantized, `scale_count` is how many scales they have; see `families/products/quantized.py` of
    dynet-kernels.

    Args:
        name: the parameter's full name, for messages.
        values: the initial values, as a flat array.
        row_count: for a lookup parameter, the number of its rows; otherwise 0.
        is_factor: whether products probably read the values. If they round them, the values get a rounded copy.
    """

    def __init__(self, name: str, values: Floats, row_count: int = 0, is_factor: bool = False):
        self.name = name
        count = values.size
        row_count = row_count if count else 0
        has_copy = is_factor and device.copies_factors()
        self.values = allocate_block(count, shared=config.PARAMS.shared_parameters, has_copy=has_copy)
        self.gradient = allocate_block(count, zero=True)
        self.values.write(values)
        self.row_count, self.scale_count, self._product = row_count, 0, 0
        self.touched_list = np.zeros(2 + 2 * row_count, np.int64) if row_count else None
        self.identity = ParameterIdentity()
        self.identities = (self.identity,)  # for `OutdatedValues.note_change`, which needs the same tuple each time
        self.row = self.identity.add_row(
            value=self.values.address,
            gradient=self.gradient.address,
            needs_gradient=count > 0,
            name=name,
            floats=count,
            touched=0 if self.touched_list is None else self.touched_list.ctypes.data,
            width=count // row_count if row_count else 0,
            rows=row_count,
            copy=self.values.copy_offset,
        )
        self._fixed_row: int | None = None
        self._sink_block: Block | None = None
        self._earlier_values: Block | None = None
        self._whole_table_row: int | None = None

    def _sink_address(self) -> int:
        """Return the address of memory that nothing reads, for gradients that are not needed but may be written."""
        if self._sink_block is None:
            self._sink_block = allocate_block(self.values.floats)
        return self._sink_block.address

    def fixed_row(self) -> int:
        """Return the row of PARAMETER_ROWS for uses with update=False. The first call adds this row."""
        if self._fixed_row is None:
            self._fixed_row = self.identity.add_row(
                value=self.values.address,
                gradient=self._sink_address(),
                needs_gradient=False,
                name=self.name,
                rows=self.row_count,
                product=self._product,
            )
        return self._fixed_row

    def whole_table_row(self, trained: bool) -> int:
        """Return the row of PARAMETER_ROWS for uses of the whole table. The first call adds it, without `touched`."""
        if self._whole_table_row is None:
            self._whole_table_row = self.identity.add_row(
                value=self.values.address, gradient=self._grad_address(trained), needs_gradient=trained, name=self.name
            )
        return self._whole_table_row

    def trained_parameter_rows(self) -> list[int]:
        return [
            row for row in (self.row, self._whole_table_row) if row is not None and PARAMETER_ROWS.needs_gradient(row)
        ]

    def _grad_address(self, trained: bool) -> int:
        return self.gradient.address if trained else self._sink_address()

    def set_trained(self, trained: bool) -> None:
        """Set whether backward passes compute the gradient. They never do so for a parameter of size 0."""
        trained = trained and self.values.floats > 0
        for row in (self.row, self._whole_table_row):
            if row is not None:
                PARAMETER_ROWS.set_needs_gradient(row, trained, self._grad_address(trained))

    def _note_change(self) -> None:
        """Tell this thread's graph that the values change."""
        if graph := getattr(thread, "graph", None):
            graph.outdated.note_change(self.identities)

    def quantized(self, scale_count: int) -> Block:
        """Return the values in a new block, rounded to products of int8s and scales."""
        content = self._rounded(self.values.array, scale_count)
        shared = config.PARAMS.shared_parameters
        block = allocate_block(self.values.floats, shared=shared, room=content.size)
        block.write_all(content)
        if isinstance(block, HostBlock):
            block.array.flags.writeable = False  # a write would not change the int8s
        return block

    def use_quantized(self, block: Block, scale_count: int) -> None:
        """Use the result of `quantized`. If a signal handler raises in between, a second call completes the first."""
        self._note_change()
        self._product = 0 if self.row_count else KERNELS.opcode(IF_QUANTIZED["product"])
        if self.values is not block:
            self._earlier_values = self.values  # which graphs may still read
        self.values = block
        for row in self.identity.rows:
            PARAMETER_ROWS.replace_value(row, block.address, self._product)
        self.scale_count = scale_count
        keep_for_graphs([self._earlier_values])
        self._earlier_values = None

    def _rounded(self, values: Floats, scale_count: int) -> Floats:
        if not np.isfinite(values).all():
            raise ArgumentError(f"{self.name} is to be quantized, and has values that are not finite")
        order = "C" if self.row_count else "F"
        scales, numbers = to_int8(values.reshape((scale_count, -1), order=order))
        return (numbers * scales[:, None]).ravel() if self.row_count else packed(scales, numbers)

    def set_values(self, values: Numbers) -> None:
        if self.scale_count:
            with self.edit_values() as stored:
                stored[:] = values
        else:
            self._note_change()
            self.values.write(values)

    def set_row(self, index: int, values: Floats) -> None:
        """Set a row of a lookup table."""
        self._note_change()
        if self.scale_count:
            self.values.write_all(self._rounded(values, 1), index * values.size)
        else:
            self.values.write_section(index * values.size, values)

    @contextmanager
    def edit_values(self) -> Iterator[Floats]:
        """Return a context manager for a `with` block that changes the values, a flat array, in place."""
        self._note_change()
        if not self.scale_count:
            with self.values.edit() as values:
                yield values
            return
        values = self.values.array.copy()
        yield values
        self.values.write_all(self._rounded(values, self.scale_count))

    def gradient_or_none(self) -> Floats | None:
        """Return the gradient as a flat array, or None if it is zero everywhere."""
        gradient = self.gradient.array
        return gradient if gradient.any() else None

    def set_gradient(self, gradient: Floats | None) -> None:
        """Replace the gradient with the flat array `gradient`, or with zeros if it is None. Update `touched_list`."""
        self.gradient.write(0 if gradient is None else gradient)
        if (touched := self.touched_list) is None:
            return
        touched[:] = 0
        if gradient is not None:
            touched_rows = np.flatnonzero(gradient.reshape(self.row_count, -1).any(axis=1))
            touched[0] = len(touched_rows)
            touched[1 : 1 + len(touched_rows)] = touched_rows
            touched[1 + self.row_count + touched_rows] = 1

    def __del__(self, keep_for_graphs=keep_for_graphs, RetiredIdentity=RetiredIdentity):
        # Attributes are missing if memory ran out in __init__. The `RetiredIdentity` object, whose finalizer frees the
        # rows and Dims for reuse, is made only now. If it were an attribute, and this object in a reference cycle, the
        # garbage collector would finalize both together, while graphs still use the rows and Dims.
        memory = [
            getattr(self, name, None)
            for name in ("values", "gradient", "touched_list", "_sink_block", "_earlier_values")
        ]
        identity = getattr(self, "identity", None)
        keep_for_graphs(memory if identity is None else [*memory, RetiredIdentity(identity.rows, identity.dims)])


_cache = threading.local()  # `_cache.last`: the `_cache_key` and the result of this thread's last `_added_gradients`


def added_by_last_pass(graph: Graph, parameter: Storage, parameters: Callable[[], Sequence[Storage]]) -> Floats | None:
    """Return what the last backward pass added to a parameter's gradient; None if the graph does not use the parameter.

    The first call after a pass computes the gradients of all `parameters()`, which will probably be requested next.
    This takes longer than a backward pass. Raise GradientError if there was no pass, or if parameters of its loss have
    changed since, even if a call before the change has computed this gradient.
    """
    if not graph.outdated.graph_uses(parameter.identity):
        return None
    loss, _ = graph.records.differentiated
    if loss < 0 or graph.engine.changing:
        raise GradientError(
            "gradient: backward() has not been called on this graph, or not since its values changed: grad_as_array() "
            "has what backward passes have added up since the last update"
        )
    if graph.outdated.backward_reads(loss, graph.engine, False):
        raise GradientError(
            "gradient: since backward(), parameters of its loss have changed, as by an update: ask for the "
            "gradients before that. grad_as_array() has what backward passes have added up since the last update"
        )
    key, blocks = getattr(_cache, "last", (None, {}))
    if key != _cache_key(graph) or parameter.row not in blocks:
        blocks = _added_gradients(graph, parameters())
        _cache.last = _cache_key(graph), blocks
    return blocks[parameter.row].array


def _added_gradients(graph: Graph, parameters: Sequence[Storage]) -> dict[int, Block]:
    """Return `Storage.row` of each parameter -> what the last backward pass added to the parameter's gradient."""
    records = graph.records
    version, (loss, mode) = records.version, records.differentiated
    blocks: dict[int, Block] = {}
    targets: dict[int, int] = {}
    for parameter in parameters:
        added_block = blocks[parameter.row] = allocate_block(parameter.values.floats, zero=True)
        targets |= dict.fromkeys(parameter.trained_parameter_rows(), added_block.address)
    if not repeat_backward(graph.engine, version, loss, targets):
        raise GradientError("gradient: a parameter is trained again since backward(): ask for the gradient before")
    if not mode:
        records.note_differentiated(version, loss, REPEATED_MODE)
    return blocks


def _cache_key(graph: Graph) -> tuple[int, ...]:
    """Return integers that change when a backward pass runs, or when a parameter is made, frozen or unfrozen."""
    return graph.records.version, graph.records.differentiated[0], pass_count(), PARAMETER_ROWS.version
