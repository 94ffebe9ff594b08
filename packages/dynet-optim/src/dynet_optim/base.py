"""`Trainer`, the base class of all trainers (optimizers): updates, clipping, the learning rate, files, and copies.

A saved trainer is a model file (see `dynet_core.files`). It has a tensor for each state of the update rule, and one
with the trainer's numbers and the state of dropout's random generator, so that training can resume exactly.
"""

from __future__ import annotations

import copy
import math
import os
import struct
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from dynet_core.annotations import Index, Number
from dynet_core.checks import NOT_NEGATIVE, Range, checked_flag, checked_list, checked_number, plain_number, whole
from dynet_core.compute.memory import Block
from dynet_core.compute.parameter_rows import PARAMETER_ROWS
from dynet_core.errors import (
    ArgumentError,
    ArgumentTypeError,
    DynetWarning,
    FileFormatError,
    GradientError,
    OutOfRangeError,
)
from dynet_core.files import model_files
from dynet_core.files.tensors import EXPLAINERS, Entry, StoredTensor, differences
from dynet_core.graph import current
from dynet_core.graph.nodes import decoded
from dynet_core.messages.hints import Closed, UnsetAttribute, method_with_hints
from dynet_core.messages.wording import counted, few
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter.collection import contents_text
from dynet_core.random import noise
from dynet_core.recorder import pass_count

from .rule import SHRINK, TrainerRule
from .schedules import Schedule, are_scores, checked_schedule, plateau_of
from .table import ALL, ParameterTable, Selection

NOT_PICKLED = ("_backward_elsewhere", "_read_numbers", "_decay_table", "_table")  # pickle omits what `_set_up` sets
SAVED_NUMBERS = ("_rate", "_rate0", "_epoch", "_threshold", "_dense", "_updates")  # attributes that `save` stores

# `tensor_of_numbers` stores a float64 that is no sum of three float32 values as 64 bits, in three values of up to 22.
TWO_22 = 1 << 22
BIT_SHIFTS = np.arange(0, 66, 22, dtype=np.uint64)

Path = str | os.PathLike[str]
ONE = 1.0  # the default of `s` in updates; if `s is ONE`, the caller did not pass `s`, which then needs no check


def _rows_of_graph() -> list[int] | None:
    """Return the rows (in PARAMETER_ROWS) of the current graph's parameters; None if it has run no backward pass."""
    records = current().records
    if records.differentiated[0] < 0:
        return None
    return [-1 - operand for record in decoded(records) for operand in record.operands if operand < 0]


def _checked_indices(name: str, indices: Iterable[Index], begin: int, end: int) -> list[int]:
    """Check indices that count from `begin` in a list and must be before `end`. Return them as indices from 0."""
    positions = [begin + whole(name, "a place", index) for index in checked_list(name, indices, "ints")]
    for index in positions:
        if not begin <= index < end:
            raise OutOfRangeError(f"{name}: {index - begin} is out of range, the collection has {end - begin}")
    return positions


class Counts:
    """The numbers that change in each update of a trainer. `recent_...` count since the last call of `status`.

    `passes`: how many backward passes had run at the last update. `has_trained`: whether a gradient was ever nonzero.
    """

    updates = recent_updates = recent_clips = passes = 0
    has_trained = False


class Trainer(Closed):
    """The base of all trainers.

    A trainer updates the parameters of a collection, including parameters that are added later, and keeps the
    collection alive. Parameters with `set_updated(False)` do not change, and the norm that clipping uses does not
    include their gradients. Updates are computed in float32, the norm in float64.

    With a weight decay, every update ends by multiplying all parameters by 1 - decay. That changes all rows of lookup
    parameters, even unused rows, so it is slow if there are many.

    After n epochs, the learning rate is (initial rate) / (1 + edecay * n). `set_schedule` multiplies it by a factor.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        numbers = getattr(getattr(cls, "rule", None), "number_names", ())
        for name in numbers if cls._numbers is Trainer._numbers else ():
            if callable(getattr(Trainer, f"_{name}", None)):
                raise TypeError(f"{cls.__name__}: its number {name!r} would hide Trainer._{name}; rename it")

    rule: TrainerRule
    _schedule: Schedule | None = None  # a class attribute for pickles of earlier versions
    if not TYPE_CHECKING:
        _collection = _rate = _rate0 = _threshold = _table = UnsetAttribute()  # an error if read before `__init__`

    def __init__(self, m: ParameterCollection, rate: Number, edecay: Number):
        if not isinstance(m, ParameterCollection):
            raise ArgumentTypeError(f"{self.whoami()}: expected a ParameterCollection, got {type(m).__name__}")
        self._counts = Counts()
        self._edecay = self._checked("edecay", edecay, NOT_NEGATIVE)
        self._rate0 = self._rate = self._checked("the learning rate", rate, NOT_NEGATIVE)  # the initial and current one
        self._epoch = 0.0  # the number of epochs so far
        self._threshold = 5.0  # the norm above which gradients are clipped
        self._dense = 0  # 1: update all rows of lookup parameters; 0: update only the rows that were used
        self._collection = m
        self._warned = False  # whether `update` has warned that there are no gradients
        self._set_up()

    def _set_up(self) -> None:
        if not isinstance(getattr(self, "rule", None), TrainerRule):
            raise ArgumentTypeError(f"{self.whoami()}: its class needs `rule`, made by @update of dynet_optim.rule")
        self._counts.passes = 0
        self._backward_elsewhere = False  # whether any rank has run `backward` since the last update
        self._table = self._new_table()
        self._decay_table: ParameterTable | None = None  # the table for weight decay; None until it is needed
        numbers = type(self)._numbers
        self._read_numbers = self.rule.read_numbers if numbers is Trainer._numbers else numbers  # saves a call

    def _new_table(self) -> ParameterTable:
        return ParameterTable(self._collection, self.rule)

    def _checked(self, name: str, value: object, range: Range) -> float:
        return checked_number(f"{self.whoami()}: {name}", value, range)

    def _argument_of_two_names(self, default: float, **given: Number | None) -> Any:
        """Return the value of an argument that has two names, or the default if both are None (not passed)."""
        names = [name for name, value in given.items() if value is not None]
        if len(names) > 1:
            raise ArgumentError(f"{self.whoami()}: {' and '.join(names)} mean the same thing: give one of them")
        return given[names[0]] if names else default

    def __repr__(self) -> str:
        contents = contents_text(self._collection._all_parameters())
        rate, updates = f"learning rate {self.learning_rate:g}", counted(self._updates, "update")
        return f"<{self.whoami()} of {self._collection.name()}: {contents}; {rate}, {updates}>"

    def whoami(self) -> str:
        """Return the name of the trainer's class."""
        return type(self).__name__

    def _numbers(self, scale: float) -> tuple[float, ...]:
        """Return the numbers that the rule reads in an update that multiplies the gradients by `scale`."""
        return self.rule.read_numbers(self, scale)

    def update(self, s: Number = ONE) -> None:
        """Update all parameters with their gradients, and set the gradients to zero.

        If the norm of all gradients, times |s|, exceeds the clipping threshold, the gradients are scaled down so that
        this product equals the threshold. With sparse updates (the default), a lookup parameter changes only in the
        rows that were used since the last update.

        Warn, only once, if there are no gradients because no call of `backward` has reached the collection.

        Args:
            s: a factor by which the gradients are multiplied.

        Raises:
            GradientError: a gradient is infinite or NaN. The parameters and the trainer have not changed, but all
                gradients have been set to zero, so that training can continue with the next example.
        """
        if self._schedule is not None:
            self._follow_schedule()
        table = self._table
        if table.value_count != PARAMETER_ROWS.value_count or table.outdated.thread_id != get_ident():
            table.prepared()  # parameters were added, or another thread has used the table
        squared = table.run_if_below(self._threshold, self._read_numbers(self, ONE), self._dense) if s is ONE else None
        if squared is None:  # the quick way was not possible, and nothing has been updated yet
            squared = self._clip_and_apply(s, ALL)
        else:
            self._count_update()
        self._end_update(squared, ALL)

    def update_subset(self, updated_params: Iterable[Index], updated_lookups: Iterable[Index], s: Number = ONE) -> None:
        """Update only some parameters. The others keep their values and gradients.

        The norm for clipping includes all gradients. To train only some parameters, `set_updated(False)` is better.

        Args:
            updated_params: the parameters to update, as indices in the collection's `parameters_list()`.
            updated_lookups: the lookup parameters to update, as indices in its `lookup_parameters_list()`.
            s: a factor by which the gradients are multiplied.
        """
        self._follow_schedule()
        table, first_lookup = self._table.prepared(), len(self._collection.parameters_list())
        selection = [
            *_checked_indices("update_subset: updated_params", updated_params, 0, first_lookup),
            *_checked_indices("update_subset: updated_lookups", updated_lookups, first_lookup, table.count),
        ]
        try:
            table.choose(selection)
            squared = self._clip_and_apply(s, selection)
        finally:
            table.choose(ALL)
        self._end_update(squared, selection)

    def _clip_and_apply(self, s: Number, selection: Selection) -> float:
        """Clip the gradients, apply the rule and count the update. Return the squared norm of all gradients."""
        table, factor = self._table, ONE if s is ONE else checked_number("update: s", s)
        squared = table.squared_norm(self._dense)
        if not math.isfinite(squared):
            name = table.name_of_not_finite_gradient()
            table.clear(self._dense)
            raise GradientError(
                f"update: the gradient of {name} is not finite; "
                "no parameter was changed, and all gradients are zero now"
            )
        norm = abs(factor) * math.sqrt(squared)
        if 0 < self._threshold < norm:
            self._counts.recent_clips += 1
            factor = factor * self._threshold / norm
        try:
            table.run(self._read_numbers(self, factor), self._dense)
        except (OverflowError, struct.error):
            read = dict(zip(self.rule.number_names, self._read_numbers(self, factor)))
            raise ArgumentError(f"update: a number that the rule reads is missing or too large: {read}") from None
        table.note_change(selection)
        self._count_update()
        return squared

    def _count_update(self) -> None:
        """Count an update. Trainers whose learning rate changes with every update override this."""
        counts = self._counts
        counts.updates += 1
        counts.recent_updates += 1

    def _end_update(self, squared_norm: float, selection: Selection) -> None:
        """Apply the weight decay. Warn, only once, if no backward pass has computed gradients."""
        if self._collection._weight_decay:
            self._decay_table = self._decay_table or ParameterTable(self._collection, SHRINK)
            table = self._decay_table.prepared()
            table.choose(selection)
            table.run([self._collection._weight_decay], is_dense=1)  # dense: all rows of lookup parameters
        if squared_norm:
            self._counts.has_trained = True
        elif not (self._warned or self._backward_elsewhere or self._backward_has_run()):
            self._warned = True
            from_data_parallel = sys._getframe(2).f_globals["__name__"].startswith("dynet_optim.")
            warnings.warn(
                f"{self.whoami()}.update: since the last update, backward() has reached no trained parameter of the "
                f"collection, so there are no gradients{self._hint_at_other_collections()}",
                DynetWarning,
                stacklevel=3 + from_data_parallel,  # the program's line; `DataParallel.update` is one more call
            )
        self._counts.passes = pass_count()

    def _backward_has_run(self) -> bool:
        """Return whether a backward pass that may have reached the collection has run since the last update."""
        has_run = self._counts.passes != pass_count()
        if self._counts.has_trained or not has_run:
            return has_run
        rows = _rows_of_graph()
        own_rows = {row for p in self._collection._all_parameters() for row in p._storage.trained_parameter_rows()}
        return rows is None or not own_rows.isdisjoint(rows)

    def _hint_at_other_collections(self) -> str:
        """Return a hint that names trained parameters of other collections in the last loss; "" if it has none."""
        own_rows = {row for p in self._collection._all_parameters() for row in p._storage.identity.rows}
        rows = [row for row in _rows_of_graph() or [] if row not in own_rows and PARAMETER_ROWS.needs_gradient(row)]
        names = dict.fromkeys(PARAMETER_ROWS.names.get(row, "?") for row in rows)
        return f". The loss has parameters of other collections, {few(names)}: give these to the trainer" * bool(names)

    @property
    def learning_rate(self) -> float:
        """The current learning rate. If a program sets it, `update_epoch` continues from the new value.

        A trainer with a schedule refuses to have it set.
        """
        self._follow_schedule()
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Number) -> None:
        if self._schedule is not None:
            raise ArgumentError(f"{self.whoami()}: a schedule sets learning_rate; set_schedule(None) removes it")
        self._rate = self._checked("learning_rate", value, NOT_NEGATIVE)
        self._rate0 = self._rate * self._decay()

    @method_with_hints(value="learning_rate")
    def set_learning_rate(self, learning_rate: Number) -> None:
        """Same as assigning to the attribute `learning_rate`. DyNet 2.1 calls the argument `value`."""
        self.learning_rate = learning_rate

    def _decay(self) -> float:
        return 1 + self._edecay * self._epoch

    def set_schedule(self, schedule: Schedule | None) -> None:
        """Let the learning rate follow a schedule, for example `WarmUpSchedule(100, then=CosineSchedule(900))`.

        In each update, the rate is (initial rate) * schedule(n) / (1 + edecay * epochs), where n is the number of
        earlier updates. `save` stores n and the state of a `PlateauSchedule`, but not the schedule itself: set it
        again before `populate`.

        Args:
            schedule: a schedule, or any function that returns a factor of at least 0; None for a rate without one.

        Raises:
            ArgumentError: the schedule returns something else for the next update, or this trainer has a schedule of
                its own. Nothing has changed. `update` raises the same error before it changes anything.

        >>> import dynet as dy
        >>> m = dy.ParameterCollection()
        >>> w = m.add_parameters(1, init=1.0)
        >>> trainer = dy.SimpleSGDTrainer(m, learning_rate=0.5)
        >>> trainer.set_schedule(lambda n: 0.5 ** (n // 2))
        >>> for _ in range(3):
        ...     print(trainer.learning_rate)
        ...     dy.sum_elems(w).backward()
        ...     trainer.update()
        0.5
        0.5
        0.25
        """
        if type(self)._scheduled_rate is not Trainer._scheduled_rate:
            raise ArgumentError(f"{self.whoami()}.set_schedule: this trainer has a schedule of its own")
        factor = self._schedule_factor(checked_schedule(f"{self.whoami()}.set_schedule", schedule))
        self._schedule, self._rate = schedule, self._rate0 * factor / self._decay()

    def _schedule_factor(self, schedule: Schedule | None) -> float:
        if schedule is None:
            return ONE
        name = f"{self.whoami()}: the schedule's factor after {counted(self._updates, 'update')}"
        return checked_number(name, schedule(self._updates), NOT_NEGATIVE)

    def _scheduled_rate(self) -> float:
        return self._rate0 * self._schedule_factor(self._schedule)

    def _follow_schedule(self) -> None:
        if self._schedule is not None:
            self._rate = self._scheduled_rate() / self._decay()

    def update_epoch(self, r: Number = 1.0) -> None:
        """Count `r` more epochs. The learning rate becomes (initial rate) / (1 + edecay * n) after n epochs in all."""
        epoch = self._epoch + checked_number("update_epoch: r", r)
        if not 1 + self._edecay * epoch > 0:
            raise ArgumentError(f"update_epoch: r is {r}, which leads back to epoch {epoch}")
        self._rate, self._epoch = self._scheduled_rate() / (1 + self._edecay * epoch), epoch

    def restart(self, learning_rate: Number | None = None) -> None:
        """Forget earlier gradients, and count epochs from 0 again.

        As in DyNet, the number of updates, which schedules and Adam's bias correction depend on, is not reset.

        Args:
            learning_rate: the new learning rate; None keeps the current one.
        """
        if learning_rate is not None:
            self.learning_rate = learning_rate
        self._rate0 = self._rate if self._schedule is None else self._rate0 / self._decay()
        self._epoch = 0.0
        self._table = self._new_table()

    def get_clip_threshold(self) -> float:
        """Return the clipping threshold: the norm above which gradients are scaled down; 0 if they never are."""
        return self._threshold

    @method_with_hints()
    def set_clip_threshold(self, thr: Number) -> None:
        """Make updates scale the gradients down if their norm exceeds `thr`. 0 or less turns clipping off."""
        threshold = plain_number("set_clip_threshold: thr", thr)
        if math.isnan(threshold):
            raise ArgumentError("set_clip_threshold: thr is nan")
        self._threshold = max(threshold, 0.0)

    @method_with_hints()
    def set_sparse_updates(self, su: bool) -> None:
        """Set whether updates skip the rows of lookup parameters that were not used since the last update.

        With True, the default, the time for an update depends on the number of used rows, not on all rows. With False,
        trainers that remember earlier gradients (all except SGD without momentum) also change the unused rows.
        """
        self._dense = int(not checked_flag("set_sparse_updates", "su", su))

    def status(self) -> None:
        """Write the learning rate to stderr, and the numbers of updates and of clipped updates since the last call."""
        counts = self._counts
        message = f"[lr={self.learning_rate:g} clips={counts.recent_clips} updates={counts.recent_updates}] "
        with suppress(Exception):  # the program may have closed or replaced the stream
            print(message, end="", file=sys.stderr, flush=True)
        counts.recent_clips = counts.recent_updates = 0

    # Pickling, copying and saving

    _updates = property(lambda self: self._counts.updates, lambda self, count: setattr(self._counts, "updates", count))

    def __getstate__(self) -> tuple[Any, ...]:
        """Return what pickle stores: the attributes, lists of copies of parameters' states, and the slots' values."""
        default_state = object.__getstate__(self)  # the attributes; if a user's class has slots, (attributes, slots)
        settings = {name: value for name, value in vars(self).items() if name not in NOT_PICKLED}
        settings["_counts"] = copy.copy(self._counts)
        copies = [[block.array.copy() for block in states] for states in self._table.prepared().state_blocks_in_order()]
        return settings, copies, default_state[1] if isinstance(default_state, tuple) else {}

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        settings, copies, slots = (*state, {})[:3]  # pickles of earlier versions have no slots
        self._counts = Counts()  # pickles of still earlier versions have no counts
        for name, value in (settings | slots).items():
            object.__setattr__(self, name, value)
        self._set_up()
        for states, arrays in zip(self._table.prepared().state_blocks_in_order(), copies):
            for block, array in zip(states, arrays):
                block.write(array)

    def save(self, fname: Path) -> None:
        """Save the state of training to a file that `populate` reads. The parameters are not in the file.

        The state is the trainer's memory of earlier gradients, the learning rate, the epoch, the number of updates, the
        clipping threshold, whether updates are sparse, the state of a `PlateauSchedule`, and the state of dropout's
        random generator. Save the parameters with the collection's own `save`.

        Args:
            fname: the file to write or replace. The format is safetensors if the name ends in `.safetensors`, else
                text.

        Raises:
            OSError: the file cannot be written. An existing file has not changed.

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
        (array([0.375]), 0.25)
        """
        model_files.save(self._tensors(), fname)

    def populate(self, fname: Path) -> None:
        """Load the state of training that `save` wrote. Training then continues as if it had not been interrupted.

        The trainer must be of the same class and have the same settings and schedule, and its collection the same
        parameters. Load the values of the parameters with the collection's own `populate`.

        Raises:
            FileFormatError: the file is damaged or belongs to a different trainer; nothing has changed.
            OSError: the file cannot be read.
        """
        self._load(model_files.load_all(fname), fname)

    def _saved_numbers(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in SAVED_NUMBERS}

    def _set_saved_numbers(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def _schedule_numbers(self) -> list[float]:
        """Return what `save` stores of the schedule: nothing without one, else a 0 or the state of a plateau."""
        return [] if self._schedule is None else getattr(plateau_of(self._schedule), "_state", [0.0])

    def _set_scores(self, numbers: list[float]) -> None:
        if plateau := plateau_of(self._schedule):
            plateau._state = numbers

    def _tensors(self) -> list[StoredTensor]:
        """Return what `save` stores: a tensor of the trainer's and the random generator's numbers, then all states."""
        seed, drawn, forks = noise.state()  # the seed's 32 bits are stored as two numbers
        own_numbers = [*self._saved_numbers().values(), seed >> 16, seed & 0xFFFF, drawn, forks]
        states = tensors_and_blocks(self._table.prepared())
        schedule = [tensor_of_numbers("/schedule", numbers) for numbers in [self._schedule_numbers()] if numbers]
        return [tensor_of_numbers(f"/{type(self).__name__}", own_numbers), *schedule, *(tensor for tensor, _ in states)]

    def _load(self, stored_tensors: Sequence[StoredTensor], fname: Path) -> None:
        name, table = type(self).__name__, self._table.prepared()
        tensors = checked_tensors(stored_tensors, fname, name, table)
        own_numbers, schedule = tensors[f"/{name}"], tensors.get("/schedule", tensor_of_numbers("", []))
        count = len(self._schedule_numbers())
        if schedule.dims != (3 * count,):
            hint = "call set_schedule before populate if the saved trainer had a schedule, and after it otherwise"
            raise FileFormatError(f"{fname} is not the state of this {name}: the schedules differ; {hint}")
        scores = stored_scores(schedule, count)
        is_valid = own_numbers.dims == (3 * (len(SAVED_NUMBERS) + 4),) and np.isfinite(own_numbers.values).all()
        rate, rate0, epoch, threshold, *integers = stored_numbers(own_numbers.values) if is_valid else 4 * [math.nan]
        if not (
            all(number >= 0 for number in (rate, rate0, threshold, *integers))
            and all(map(math.isfinite, (rate, rate0, epoch)))
            and all(number < 2**53 and number.is_integer() for number in integers)  # exact in a float64
            and scores is not None
        ):
            raise FileFormatError(f"{fname}: {own_numbers.name} is damaged")
        for state, block in tensors_and_blocks(table):
            block.write(tensors[state.name].values)
        dense, updates, high, low, drawn, forks = map(int, integers)
        noise.set_state(high << 16 | low, drawn, forks)
        self._set_scores(scores)
        self._set_saved_numbers(dict(zip(SAVED_NUMBERS, (rate, rate0, epoch, threshold, dense, updates))))


def tensors_and_blocks(table: ParameterTable) -> list[tuple[StoredTensor, Block]]:
    """Return a pair for each state: a tensor to store in a file, and the state's memory."""
    return [
        # The names contain an index, because two parameters may have the same name.
        (StoredTensor(p._is_lookup, f"{p.name()}.{index}.{state}", p.type.dims, block.array, None), block)
        for index, p in enumerate(table.all_parameters)
        for state, block in zip(table.rule.state_names, table.state_blocks[p._storage])
    ]


def checked_tensors(
    stored_tensors: Sequence[StoredTensor], fname: Path, name: str, table: ParameterTable
) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name, or raise FileFormatError if they are not those of a `name` with `table`."""
    tensors = {_current_name(tensor.name, table.rule.state_names): tensor for tensor in stored_tensors}
    if f"/{name}" not in tensors:
        raise FileFormatError(f"{fname} holds no state of {name}: it has {few(tensors)}")
    in_file = [replace(t, name=n) for n, t in tensors.items() if n not in (f"/{name}", "/schedule")]
    states = [state for state, _ in tensors_and_blocks(table)]
    if {t.name: (t.lookup, t.dims) for t in in_file} != {t.name: (t.lookup, t.dims) for t in states}:
        problems = differences(_parameters_of(in_file), _parameters_of(states))
        first_problem = f": {problems[0]}" if problems else " in their order"
        raise FileFormatError(f"{fname} is not the state of this {name}: its parameters differ{first_problem}")
    return tensors


def stored_scores(tensor: StoredTensor, count: int) -> list[float] | None:
    """Return the `count` numbers of a tensor if they may be a `_state` of `Scores`, otherwise None."""
    is_valid = tensor.dims == (3 * count,) and np.isfinite(tensor.values).all()
    numbers = stored_numbers(tensor.values) if is_valid else [math.nan]
    return numbers if are_scores(numbers) else None


def _current_name(name: str, state_names: Sequence[str]) -> str:
    """Return a stored tensor's current name. In older files, it ends with a state's index, not the state's name."""
    start, _, last = name.rpartition(".")
    return f"{start}.{state_names[int(last)]}" if last in map(str, range(len(state_names))) else name


def _parameters_of(states: Iterable[StoredTensor]) -> list[Entry]:
    return [Entry(state.lookup, state.name.rsplit(".", 2)[0], state.dims) for state in states]


def _class_names(base_class: type) -> set[str]:
    return {base_class.__name__}.union(*map(_class_names, base_class.__subclasses__()))


def _hint_at_trainer_file(stored_names: Iterable[str], expected_names: Iterable[str]) -> str:
    """Return a hint if a file does not fit a collection because it has the state of a trainer; else ""."""
    trainers = _class_names(Trainer) & {name.removeprefix("/") for name in stored_names}
    explanation = f"The file has the state of a trainer, {few(trainers)}, which the populate of such a trainer reads"
    return explanation * bool(trainers)


EXPLAINERS.append(_hint_at_trainer_file)  # errors about files then end with this hint


def tensor_of_numbers(name: str, numbers: Sequence[float]) -> StoredTensor:
    """Return a tensor that has, for each of `numbers`, three float32 values whose sum is the number.

    If no three values have this sum, they hold the number's 64 bits: 22 in each, as an integer from TWO_22 to
    2 * TWO_22 - 1. In a sum, the second value is much smaller than the first, so it cannot be mistaken for bits.
    """
    exact = remainder = np.array(numbers, np.float64)
    terms = []
    with np.errstate(all="ignore"):  # `remainder` becomes NaN if the number is infinite or too large for a float32
        for _ in range(3):
            terms.append(remainder.astype(np.float32))
            remainder = remainder - terms[-1]
    bits = TWO_22 + (exact.view(np.uint64)[:, None] >> BIT_SHIFTS) % TWO_22
    values = np.where(remainder[:, None] == 0, np.stack(terms, 1), bits).astype(np.float32).ravel()
    return StoredTensor(False, name, (len(values),), values, None)


def stored_numbers(values: np.ndarray) -> list[float]:
    triples = values.reshape(-1, 3)  # `tensor_of_numbers` has stored three values for each number
    bits = ((triples % TWO_22).astype(np.uint64) << BIT_SHIFTS).sum(axis=1, dtype=np.uint64).view(np.float64)
    are_bits = ((triples >= TWO_22) & (triples < 2 * TWO_22)).all(axis=1)
    return np.where(are_bits, bits, triples.sum(axis=1, dtype=np.float64)).tolist()
