"""What all trainers share: clipping, the learning rate, the table by which compiled code finds parameters.

An update has two parts, whatever the number of parameters: the norm of all gradients, and the trainer's rule on every
dense parameter and every touched row of lookup tables. Where nothing is to be clipped, both are one compiled call.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dynet_core.annotations import Index, Number
from dynet_core.checks import checked_flag, whole
from dynet_core.device import compiled
from dynet_core.engine import PARAMETER_ROWS
from dynet_core.errors import ArgumentError, ArgumentTypeError, DynetWarning, GradientError, OutOfRangeError
from dynet_core.graph import current
from dynet_core.memory import Block, block
from dynet_core.nodes import nodes_of
from dynet_core.parameter import LookupParameters, ParameterCollection, Parameters, summary
from dynet_core.parameter.storage import Storage
from dynet_core.recorder import passes
from dynet_kernels import layout as at
from dynet_kernels import sharing
from dynet_kernels.kernels import KERNELS
from dynet_kernels.layout import SLOT
from dynet_kernels.updates import GradientNorm, UpdateRule, update_rule

from . import state
from .settings import FINITE, NOT_NEGATIVE, Range, checked, plain_number

NORM = KERNELS.add("gradient_norm", GradientNorm())
STATUS = SLOT["status"]
READY = at.READY
ONE = 1.0  # the default of `s`, which needs no check
NEARLY_ONE = 1 - 1e-6  # what is surely below a threshold


class Update:
    """An update rule as compiled code knows it: what it sets the parameter `p` and its states to.

    Args:
        name: names the kernel.
        states: names of tensors like the parameter that the trainer keeps; zero at first.
        numbers: names of what `Trainer._numbers` returns, in that order.
        formulas: the new `p` and states, from what these were before, the gradient `g` and the numbers.
    """

    def __init__(self, name: str, states: tuple[str, ...], numbers: tuple[str, ...], **formulas: Callable):
        self.opcode: int = KERNELS.add(f"update.{name}", update_rule(states, numbers, **formulas))
        self.states: int = len(states)
        self.numbers: int = len(numbers)


CLEAR = Update("clear", (), ())
OF_PROCESS = ("_passes", "_table", "_shrinking", "_block", "_decay_block", "_pack")  # what `Trainer._begin` sets


class Shrinking:
    """The rule of weight decay: p becomes p - decay * p. It leaves gradients alone."""

    opcode = KERNELS.add(
        "update.shrink",
        UpdateRule(("p", "g", "decay"), {"p": lambda p, decay: p - p * decay}, numbers=("decay",)),
    )
    states, numbers = 0, 1


class Trainer:
    """The base of all trainers.

    A trainer changes the parameters of a collection, those that are added later included, and keeps the
    collection alive. Parameters with `set_updated(False)` are neither changed nor counted in the norm of the
    gradient. Updates are computed in float32, the norm in float64.

    Where the collection has a weight decay, every update ends with all parameters that it may change shrinking by
    that part, rows of lookup parameters that were not used included: a pass over all of them, however few were used.
    """

    rule: Update

    def __init__(self, m: ParameterCollection, rate: Number, edecay: Number):
        if not isinstance(m, ParameterCollection):
            raise ArgumentTypeError(f"{self._who}: expected a ParameterCollection, got {type(m).__name__}")
        self._collection = m
        self._edecay = self._checked("edecay", edecay, NOT_NEGATIVE)
        self._rate0 = self._rate = self._checked("the learning rate", rate, NOT_NEGATIVE)
        self._epoch = 0.0
        self._threshold = 5.0
        self._dense = 0  # 1 updates whole lookup tables
        self._updates = self._recent_updates = self._recent_clips = 0
        self._without_gradient = self._has_trained = self._warned = False
        self._begin()

    def _begin(self) -> None:
        """What is of this process: memory, and how many backward passes there had been at the last update."""
        self._passes = -1
        self._table = _Table(self.rule)
        self._shrinking: _Table | None = None  # what weight decay goes by, once there is some
        self._block, self._decay_block = block(self.rule.numbers), block(Shrinking.numbers)
        self._pack = self._block.packer()

    def __getstate__(self) -> tuple[dict[str, Any], list[list[np.ndarray]]]:
        """What pickles and copies hold: the settings, the collection, and what is remembered of each parameter."""
        settings = {name: value for name, value in vars(self).items() if name not in OF_PROCESS}
        return settings, [[kept.array.copy() for kept in states] for states in self._prepared().in_order()]

    def __setstate__(self, state: tuple[dict[str, Any], list[list[np.ndarray]]]) -> None:
        settings, remembered = state
        vars(self).update(settings)
        self._begin()
        for states, arrays in zip(self._prepared().in_order(), remembered):
            for kept, array in zip(states, arrays):
                kept.write(array)

    def __repr__(self) -> str:
        held = summary.holdings(self._collection._everything())
        rate, updates = f"learning rate {self._rate:g}", summary.counted(self._updates, "update")
        return f"<{self._who} of {self._collection.name()}: {held}; {rate}, {updates}>"

    def whoami(self) -> str:
        """The name of the class."""
        return self._who

    @property
    def _who(self) -> str:
        return type(self).__name__

    def _checked(self, name: str, value: object, range: Range) -> float:
        return checked(f"{self._who}: {name}", value, range)

    def _numbers(self, scale: float) -> tuple[float, ...]:
        """What the rule's numbers are in this update; `scale` is what the gradient is to be multiplied by."""
        raise NotImplementedError

    @property
    def learning_rate(self) -> float:
        """The learning rate. `update_epoch` goes on from a value that is set here."""
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Number) -> None:
        self._rate = self._checked("learning_rate", value, NOT_NEGATIVE)
        self._rate0 = self._rate * self._decay()

    def set_learning_rate(self, learning_rate: Number) -> None:
        """Set the learning rate."""
        self.learning_rate = learning_rate

    def _decay(self) -> float:
        return 1 + self._edecay * self._epoch

    def _scheduled_rate(self) -> float:
        """The rate before the decay by epochs."""
        return self._rate0

    def update(self, s: Number = ONE) -> None:
        """Change all parameters by their gradients, and set the gradients to zero.

        Where the norm of all gradients together, times |s|, exceeds the clipping threshold, they are scaled
        down to it. Of lookup parameters only rows that were used are changed, as long as updates are sparse.

        Warns, once, if there are no gradients since no `backward` has met a parameter of the collection.

        Args:
            s: what gradients are multiplied by.

        Raises:
            GradientError: a gradient is infinite or NaN. No parameter and nothing of the trainer has changed,
                but all gradients are zero, so that training can go on with the next example.
        """
        table = self._table
        if table.version != PARAMETER_ROWS.version:
            table.prepare(self._collection)
        if s is not ONE or not self._update_if_below(table):
            self._apply(self._scale(table, table.squared_norm(self._dense), s))
        if self._collection._weight_decay:
            self._shrink(None)
        if self._without_gradient:
            self._warn_of_nothing()
        self._passes = passes()

    def _update_if_below(self, table: _Table) -> bool:
        """Update in one call, if that is possible and the norm of all gradients is below the threshold."""
        update, totals, threshold = table.machine.norm_and_update, table.sum, self._threshold
        if update is None or not totals:
            return False
        try:
            self._pack(*self._numbers(ONE))
        except OverflowError:
            return False
        totals[1] = NEARLY_ONE * threshold * threshold if threshold else math.inf
        update(
            table.context_at, NORM, self.rule.opcode, table.count, table.states, self.rule.numbers,
            self._block.address, self._dense, table.sum_block.address,
        )  # fmt: skip
        if table.slots[STATUS] != READY:
            return False
        self._count()
        self._without_gradient = not totals[0]
        self._has_trained = self._has_trained or not self._without_gradient
        return True

    def update_subset(self, updated_params: Iterable[Index], updated_lookups: Iterable[Index], s: Number = ONE) -> None:
        """Change some parameters only. The others keep their values, and their gradients, which count in the norm.

        `set_updated(False)` is usually the better way to train a part.

        Args:
            updated_params: places among the collection's parameters.
            updated_lookups: places among its lookup parameters.
            s: what gradients are multiplied by.
        """
        table = self._prepared()
        chosen = [
            *_places("update_subset: updated_params", updated_params, table.parameters),
            *(
                len(table.parameters) + place
                for place in _places("update_subset: updated_lookups", updated_lookups, table.lookups)
            ),
        ]
        scale = self._scale(table, table.squared_norm(self._dense), s)
        try:
            table.choose(chosen)
            self._apply(scale)
        finally:
            table.choose_all()
        if self._collection._weight_decay:
            self._shrink(chosen)
        if self._without_gradient:
            self._warn_of_nothing()
        self._passes = passes()

    def _shrink(self, chosen: list[int] | None) -> None:
        """Apply the weight decay of one update to all parameters that are trained, or to those chosen.

        DyNet keeps one factor for all parameters and multiplies by it wherever one is used. Here the parameters
        themselves shrink: a graph reads them where they are.
        """
        table = self._shrinking = self._shrinking or _Table(Shrinking)
        if table.version != PARAMETER_ROWS.version:
            table.prepare(self._collection)
        if chosen is None:
            table.choose_all()
        else:
            table.choose(chosen)
        self._decay_block.write(self._collection._weight_decay)
        table.run(Shrinking, self._decay_block.address, dense=1)

    def _prepared(self) -> _Table:
        table = self._table
        if table.version != PARAMETER_ROWS.version:
            table.prepare(self._collection)
        return table

    def _scale(self, table: _Table, squared: float, s: Number) -> float:
        """What gradients of that squared norm are multiplied by: s, or less where that exceeds the threshold."""
        factor = ONE if s is ONE else checked("update: s", s, FINITE)
        if not math.isfinite(squared):
            name = table.first_not_finite(self._dense)
            table.run(CLEAR, 0, self._dense)
            raise GradientError(
                f"update: the gradient of {name} is not finite; "
                "no parameter was changed, and all gradients are zero now"
            )
        self._without_gradient = not squared
        self._has_trained = self._has_trained or not self._without_gradient
        norm = abs(factor) * math.sqrt(squared)
        if not 0 < self._threshold < norm:
            return factor
        self._recent_clips += 1
        return factor * self._threshold / norm

    def _warn_of_nothing(self) -> None:
        """Warn, once, if the update that is done had no gradients because no backward pass has made any.

        Gradients that are 0 are no reason, as those of a hinge loss are where the margin is kept.
        """
        if not self._warned and (self._passes == passes() or not self._is_met()):
            self._warned = True
            warnings.warn(
                f"{self._who}.update: since the last update, no backward() has met a parameter of the collection "
                f"that is trained: there are no gradients{self._others()}",
                DynetWarning,
                stacklevel=3,
            )

    def _is_met(self) -> bool:
        """Whether a parameter of the collection is part of what has been differentiated, as far as that is known."""
        if self._has_trained or current().records.differentiated[0] < 0:
            return True
        rows = {row for p in self._collection._everything() for row in p._storage.trained_rows()}
        return not rows.isdisjoint(_rows_of_loss())

    def _others(self) -> str:
        """Says which parameters the loss has instead, if that is known."""
        if current().records.differentiated[0] < 0:
            return ""
        own = {row for p in self._collection._everything() for row in p._storage.identity.rows}
        others = [row for row in _rows_of_loss() if row not in own and PARAMETER_ROWS.needs(row)]
        names = list(dict.fromkeys(PARAMETER_ROWS.names.get(row, "?") for row in others))
        if not names:
            return ""
        more = ", ..." if len(names) > 3 else ""
        return f". The loss has parameters of another collection, {', '.join(names[:3])}{more}: give the trainer that"

    def _apply(self, scale: float) -> None:
        try:
            self._pack(*self._numbers(scale))
        except OverflowError:
            raise ArgumentError(f"update: learning rate {self._rate} times {scale} is too large") from None
        self._table.run(self.rule, self._block.address, self._dense)
        self._count()

    def _count(self) -> None:
        """Note that an update has been done."""
        self._updates += 1
        self._recent_updates += 1

    def update_epoch(self, r: Number = 1.0) -> None:
        """Say that `r` epochs have passed: the learning rate becomes rate0 / (1 + edecay * epochs)."""
        epoch = self._epoch + checked("update_epoch: r", r, FINITE)
        if not 1 + self._edecay * epoch > 0:
            raise ArgumentError(f"update_epoch: r is {r}, which leads back to epoch {epoch}")
        self._epoch = epoch
        self._rate = self._scheduled_rate() / self._decay()

    def restart(self, learning_rate: Number | None = None) -> None:
        """Begin anew: what the trainer remembers of earlier gradients is forgotten, and so are the epochs.

        The number of updates, which Adam corrects its bias by, goes on, as in DyNet.

        Args:
            learning_rate: the new learning rate; None keeps the one there is.
        """
        if learning_rate is not None:
            self.learning_rate = learning_rate
        self._epoch, self._rate0 = 0.0, self._rate
        self._table = _Table(self.rule)

    def get_clip_threshold(self) -> float:
        """The largest norm of the gradient that is not scaled down; 0 where none is."""
        return self._threshold

    def set_clip_threshold(self, thr: Number) -> None:
        """Scale gradients down when their norm exceeds `thr`; never if that is 0 or less."""
        threshold = plain_number("set_clip_threshold: thr", thr)
        if math.isnan(threshold):
            raise ArgumentError("set_clip_threshold: thr is nan")
        self._threshold = max(threshold, 0.0)

    def set_sparse_updates(self, su: bool) -> None:
        """Say whether updates of lookup parameters leave alone the rows that were not used.

        They do by default, and cost as the rows used do. Trainers that remember gradients (all but SGD) would
        move the other rows too: with False they do.
        """
        self._dense = int(not checked_flag("set_sparse_updates", "su", su))

    def save(self, fname: state.Path) -> None:
        """Write to a file what training has come to, for `populate`: with the collection's own file, all of it.

        That is what the trainer remembers of earlier gradients, the learning rate, the epoch, the number of updates,
        the clipping threshold, whether updates are sparse, and where the generator of dropout and noise stands.

        Args:
            fname: the file, replaced as a whole. `.safetensors` at its end means that format, else it is text.

        Raises:
            OSError: the file cannot be written; it is as it was.

        >>> import dynet as dy, tempfile
        >>> m = dy.ParameterCollection()
        >>> w = m.add_parameters(1, init=1.0)
        >>> trainer = dy.MomentumSGDTrainer(m, 0.25, mom=0.5)
        >>> dy.sum_elems(w).backward()
        >>> trainer.update()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(folder + "/trainer")
        ...     other = dy.MomentumSGDTrainer(m, mom=0.5)
        ...     other.populate(folder + "/trainer")
        >>> dy.sum_elems(w).backward()
        >>> other.update()
        >>> w.as_array(), other.learning_rate
        (array([0.375], dtype=float32), 0.25)
        """
        state.save(self, fname)

    def populate(self, fname: state.Path) -> None:
        """Go on from what `save` wrote: the same numbers follow as without the interruption.

        The trainer must be of the same class, made with the same settings for a collection of the same parameters,
        whose values have a file of their own.

        Raises:
            FileFormatError: the file is damaged or belongs to another trainer; nothing has changed.
            OSError: the file cannot be read.
        """
        state.populate(self, fname)

    def status(self) -> None:
        """Write to stderr the learning rate and, since the last call, how many updates and clipped ones."""
        text = f"[lr={self._rate:g} clips={self._recent_clips} updates={self._recent_updates}] "
        print(text, end="", file=sys.stderr, flush=True)
        self._recent_clips = self._recent_updates = 0


def _rows_of_loss() -> list[int]:
    """The rows of the parameters in this thread's graph."""
    return [-1 - operand for node in nodes_of(current().records) for operand in node.operands if operand < 0]


def _places(name: str, places: Iterable[Index], among: Sequence[object]) -> list[int]:
    try:
        given = list(places)
    except TypeError:
        raise ArgumentTypeError(f"{name} must be a list of ints, not {places!r:.60}") from None
    found = [whole(name, "a place", place) for place in given]
    wrong = [place for place in found if not 0 <= place < len(among)]
    if wrong:
        raise OutOfRangeError(f"{name}: {wrong[0]} is out of range, the collection has {len(among)}")
    return found


class _Table:
    """A collection's parameters as compiled code needs them, with the states kept for each."""

    def __init__(self, rule: Update | type[Shrinking]):
        self.states, self.width = rule.states, at.UPDATE_STATES + rule.states
        for opcode in (NORM, CLEAR.opcode, rule.opcode):
            KERNELS.use(opcode)
        self.version = -1
        self.parameters: list[Parameters] = []
        self.lookups: list[LookupParameters] = []
        self.kept: dict[Storage, list[Block]] = {}  # states by the parameter's memory
        self.context = np.zeros(len(SLOT), np.int64)
        self.context_at = self.context.ctypes.data
        self.slots = memoryview(self.context)  # type: ignore[arg-type]  # arrays are buffers to checkers only from Python 3.12 on
        self.slots[SLOT["self_type"]], self.slots[SLOT["self"]] = at.INT_ARGUMENT, self.context_at
        self.threads = np.zeros((at.MOST_THREADS, at.THREAD_ROW), np.int64)
        self.slots[SLOT["sharing"]], self.slots[SLOT["threads"]] = sharing.address(), self.threads.ctypes.data
        self.sum_block = block(4)  # float64: the sum, and what it is to be below
        self.sum = self.sum_block.direct().cast("B").cast("d")
        self.grow_index(1 << 10)

    def grow_index(self, size: int) -> None:
        self.index = np.zeros(size, np.int64)
        self.slots[SLOT["index"]] = self.index.ctypes.data
        self.slots[SLOT["index_end"]] = size

    def prepare(self, collection: ParameterCollection) -> None:
        """Take in the parameters that a collection has by now."""
        self.version, version = -1, PARAMETER_ROWS.version
        self.machine = compiled()
        self.shared = PARAMETER_ROWS.buffer  # held: compiled code reads it
        self.parameters = collection.parameters_list()
        self.lookups = collection.lookup_parameters_list()
        everything = [*self.parameters, *self.lookups]
        self.count = len(everything)
        self.rows = np.zeros((self.count, self.width), np.int64)
        for row, parameter in zip(self.rows, everything):
            storage = parameter._storage
            floats = storage.values.floats
            if storage not in self.kept:
                self.kept[storage] = [block(floats, zero=True) for _ in range(self.states)]
            row[at.UPDATE_PARAMETER], row[at.UPDATE_FLOATS] = storage.row, floats
            row[at.UPDATE_STATES :] = [state.address for state in self.kept[storage]]
        self.choose_all()
        self.tape = np.zeros((self.count, at.TAPE_ROW), np.int64)
        self.slots[SLOT["parameters"]] = self.shared.ctypes.data
        self.slots[SLOT["table"]] = self.rows.ctypes.data
        self.slots[SLOT["tape"]] = self.tape.ctypes.data
        self.version = version  # last: memory may run out before, or an interrupt come

    def in_order(self) -> list[list[Block]]:
        """The states of each parameter, then of each lookup parameter."""
        return [self.kept[parameter._storage] for parameter in [*self.parameters, *self.lookups]]

    def choose(self, places: list[int]) -> None:
        """Have updates change only these."""
        self.rows[:, at.UPDATE_CHOSEN] = 0
        self.rows[places, at.UPDATE_CHOSEN] = 1

    def choose_all(self) -> None:
        self.rows[:, at.UPDATE_CHOSEN] = 1

    def squared_norm(self, dense: int, first: int = 0, last: int | None = None) -> float:
        """The sum of the squared gradients of all parameters that are trained, or of some."""
        last = self.count if last is None else last
        direct = self.sum
        if direct:
            direct[0] = 0.0
        else:
            self.sum_block.write(0)
        self.machine.gradient_norm(self.context_at, NORM, first, last, self.states, dense, self.sum_block.address)
        if self.slots[STATUS] != READY:
            self.make_room()
            return self.squared_norm(dense, first, last)
        return direct[0] if direct else float(self.sum_block.array.view(np.float64)[0])

    def first_not_finite(self, dense: int) -> str:
        """The name of the first parameter whose gradient is not finite."""
        everything = [*self.parameters, *self.lookups]
        bad = (k for k in range(self.count) if not math.isfinite(self.squared_norm(dense, k, k + 1)))
        return everything[next(bad)].name()

    def run(self, rule: Update | type[Shrinking], numbers_at: int, dense: int) -> None:
        """Run an update rule on all parameters that are trained and chosen."""
        self.machine.update(self.context_at, rule.opcode, self.count, self.states, rule.numbers, numbers_at, dense)
        if self.slots[STATUS] != READY:
            self.make_room()
            self.run(rule, numbers_at, dense)

    def make_room(self) -> None:
        """Give the planner what it found too small.

        Raises:
            NoCodeError: that was not it; an instruction has no machine code.
        """
        if self.slots[STATUS] == at.NO_CODE:
            self.version = -1  # so that the next update loads what there is
            raise KERNELS.no_code(int(self.tape[self.slots[SLOT["row"]], at.TAPE_OPCODE]))
        self.grow_index(2 * self.slots[SLOT["needed_index"]])
