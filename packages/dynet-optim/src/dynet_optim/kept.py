"""Copies of a model's parameters: their moving averages, and the best ones so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dynet_core.annotations import Index, Number
from dynet_core.checks import FRACTION, checked_number, float32
from dynet_core.errors import ArgumentError, ArgumentTypeError, DynetError, FileFormatError
from dynet_core.files import model_files
from dynet_core.messages.hints import Closed
from dynet_core.parameter import ParameterCollection
from dynet_kernels.families.rules import UpdateRule
from dynet_kernels.layout import EVERYTHING
from dynet_kernels.table import KERNELS

from .base import Path, checked_tensors, stored_scores, tensor_of_numbers, tensors_and_blocks
from .rule import TrainerRule
from .schedules import Scores
from .table import ALL, ParameterTable

AVERAGE, KEEP, PUT = [
    TrainerRule(name, UpdateRule(("p", "g", "kept", *numbers), formulas, numbers=numbers), starts_as_values=True)
    for name, numbers, formulas in (
        ("average", ("decay",), {"kept": lambda p, kept, decay: p + (kept - p) * decay}),
        ("keep", (), {"kept": lambda p: p}),
        ("put", (), {"p": lambda kept: kept}),
    )
]


class KeptParameters(Closed):
    """The base of classes that keep a copy of all parameters of a collection, frozen or not."""

    _state: list[float]

    def __init__(self, m: ParameterCollection):
        if not isinstance(m, ParameterCollection):
            raise ArgumentTypeError(f"{type(self).__name__}: expected a ParameterCollection, got {type(m).__name__}")
        self._table = ParameterTable(m, AVERAGE)
        for rule in (KEEP, PUT):
            KERNELS.use(rule.opcode)

    def __reduce__(self) -> Any:
        raise ArgumentTypeError(
            f"{type(self).__name__} cannot be copied or pickled: use save, and populate of a new one"
        )

    def _prepared(self, action: str) -> ParameterTable:
        return self._table.prepared()

    def save(self, fname: Path) -> None:
        """Write the copies and all that belongs to them to a file. The parameters themselves are not in it.

        Raises:
            OSError: the file cannot be written. An existing file has not changed.
        """
        states = [tensor for tensor, _ in tensors_and_blocks(self._prepared("save"))]
        model_files.save([tensor_of_numbers(f"/{type(self).__name__}", self._state), *states], fname)

    def populate(self, fname: Path) -> None:
        """Load a file that `save` wrote, for a collection with the same parameters.

        Raises:
            FileFormatError: the file is damaged or has something else; nothing has changed.
            OSError: the file cannot be read.
        """
        name, table = type(self).__name__, self._prepared("populate")
        tensors = checked_tensors(model_files.load_all(fname), fname, name, table)
        state = stored_scores(tensors[f"/{name}"], len(self._state))
        if state is None:
            raise FileFormatError(f"{fname}: /{name} is damaged")
        for tensor, block in tensors_and_blocks(table):
            block.write(tensors[tensor.name].values)
        self._state = state


class AveragedParameters(KeptParameters):
    r"""Exponential moving averages of all parameters, which often do better on new examples than the parameters.

    .. math:: a \leftarrow \beta a + (1 - \beta)\,\theta

    The first update sets the averages to the parameters, and parameters that are added later start with their values
    at the next update. As in PyTorch's `AveragedModel`, nothing else corrects for the start.

    Args:
        m: the collection.
        decay: the decay :math:`\beta`, in [0, 1).

    Raises:
        ArgumentError: the decay is out of its range.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> averages = dy.AveragedParameters(m, decay=0.75)
    >>> for value in (1.0, 5.0):  # usually after each `trainer.update()`
    ...     w.set_value([value])
    ...     averages.update()
    >>> with averages.applied():
    ...     w.value()
    2.0
    >>> w.value()
    5.0
    """

    def __init__(self, m: ParameterCollection, decay: Number = 0.999):
        super().__init__(m)
        self._decay = float32(checked_number("AveragedParameters: decay", decay, FRACTION))
        self._state = [0.0, 0.0]  # the second is the number of updates
        # In the block of `applied`, the table that keeps the parameters, and whether the block has ended.
        self._trained: ParameterTable | None = None
        self._has_ended = False

    def _prepared(self, action: str) -> ParameterTable:
        if self._trained and not self._has_ended:
            raise ArgumentError(f"AveragedParameters.{action}: first leave the block of `with ...applied()`")
        table = super()._prepared(action)
        if self._trained and _are_put(table):
            self._bring_back()  # an interrupt has prevented this at the end of the block
        self._trained = None
        return table

    def _bring_back(self) -> None:
        if self._trained:
            try:
                _put(self._trained)
            except DynetError:  # such as for parameters that have been quantized
                self._trained = None
                raise
            self._trained = None

    def update(self) -> None:
        """Move the averages towards the parameters, after an update of the trainer."""
        table = self._prepared("update")
        table.run([self._decay], EVERYTHING) if self._state[1] else table.run_other(KEEP, EVERYTHING)
        self._state = [0.0, self._state[1] + 1]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Return a context manager: in its `with` block, the parameters have the values of the averages.

        The block may evaluate or save the model, but not train it. Errors in it also bring the parameters back.

        Raises:
            ArgumentError: there was no update yet, or this is such a block.
        """
        table = self._prepared("applied")
        if not self._state[1]:
            raise ArgumentError("AveragedParameters.applied: there are no averages before the first update()")
        trained = ParameterTable(table.collection, KEEP).prepared()  # its copies start as the parameters
        try:
            self._has_ended = False
            self._trained = trained
            _put(table)
            yield
        finally:
            self._has_ended = True
            self._bring_back()


def _are_put(table: ParameterTable) -> bool:
    pairs = zip(table.all_parameters, table.state_blocks_in_order())
    return all(np.array_equal(p._storage.values.array, kept.array) for p, (kept,) in pairs)


def _put(table: ParameterTable) -> None:
    """Set all parameters to the copies in a table. After an interrupt, this may be done again."""
    table.prepared().run_other(PUT, EVERYTHING)
    table.note_change(ALL)


class EarlyStopping(Scores, KeptParameters):
    """Keeps the parameters with the best score, and tells when training no longer improves it.

    Args:
        m: the collection.
        patience: training should stop after so many reports in a row without a better score; at least 1.
        lower_is_better: True for losses, False for accuracies.
        min_change: by how much a score must be better to count.

    Raises:
        ArgumentError: a number is out of its range.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(1, init=1.0)
    >>> stopping = dy.EarlyStopping(m, patience=2)
    >>> for epoch, loss in enumerate([3.5, 2.5, 2.75, 3.0, 1.0]):
    ...     w.set_value([epoch])  # where a program trains
    ...     print(stopping.report(loss))
    ...     if stopping.should_stop:
    ...         break
    True
    True
    False
    False
    >>> stopping.restore()
    >>> w.value()
    1.0
    """

    def __init__(
        self, m: ParameterCollection, patience: Index, *, lower_is_better: bool = True, min_change: Number = 0.0
    ):
        KeptParameters.__init__(self, m)
        super().__init__(patience, lower_is_better, min_change)

    def report(self, score: Number) -> bool:
        """Report a score of the model, as of held-out examples. If it is the best so far, keep the parameters.

        Returns:
            Whether the score is the best so far.

        Raises:
            ArgumentError: the score is infinite or NaN. Nothing has changed.
        """
        table, state = self._prepared("report"), self._after(score)
        is_best = state[1] == 0
        if is_best:
            table.run_other(KEEP, EVERYTHING)
        self._state = state
        return is_best

    @property
    def should_stop(self) -> bool:
        """Whether the last `patience` reports were not better than the best one."""
        return self._state[1] >= self._patience

    def restore(self) -> None:
        """Set the parameters to those with the best score. `report` may then be called again.

        Raises:
            ArgumentError: there was no report yet.
        """
        if self._state[0] == float("inf"):
            raise ArgumentError("EarlyStopping.restore: there are no best parameters before the first report(score)")
        _put(self._table)
