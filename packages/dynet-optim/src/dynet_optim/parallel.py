"""`DataParallel`, a trainer that adds up the gradients of several MPI processes, and its checkpoints.

In each update, the ranks exchange one buffer: gradients of parameters, and of used rows of lookup parameters.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from dynet_core.annotations import Number
from dynet_core.checks import checked_flag, checked_number, float32, plain_number, whole
from dynet_core.compute.memory import Block
from dynet_core.compute.parameter_rows import PARAMETER_ROWS
from dynet_core.errors import ArgumentError, ArgumentTypeError, FileFormatError, ParallelError
from dynet_core.files import model_files
from dynet_core.files.tensors import StoredTensor
from dynet_core.parameter.storage import Storage
from dynet_core.random import noise, random_stream

from .base import Path, Trainer, stored_numbers, tensor_of_numbers
from .ranks import BACKWARD, EXAMPLES, TOUCHED, digest, meeting, mpi, sendable_error
from .rule import stateless_rule
from .table import ParameterTable

Example = TypeVar("Example")
SERIAL_NUMBERS = itertools.count()  # of a process's DataParallels; ranks check that all use the same number
EXAMPLES_LIMIT = 1 << 40  # the argument `examples` must be less, so that the sum over all ranks fits in 64 bits


class DataParallel:
    r"""A trainer for programs that run as several processes, which MPI starts: `mpiexec -n 4 python train.py`.

    Each process, a *rank*, has the whole model and its own share of the examples. `update` replaces the gradient of
    each parameter by the sum over all ranks, and then updates the parameters as the trainer alone does:

    .. math:: g = \sum_r g_r \qquad\text{or, with average,}\qquad g = \sum_r \frac{n_r}{\sum_q n_q}\, g_r

    where :math:`g_r` is the gradient of rank r and :math:`n_r` the number of its examples. So n ranks with 1/n of each
    minibatch train as one process with the whole minibatch, up to rounding. Clipping uses the norm of the sum. Results
    are the same in each run with the same number of ranks.

    At the start, the parameters and the state of the trainer are copied from rank 0 to all ranks. Parameters that are
    added later must have the same initial values on all ranks. Each rank draws its own random numbers for dropout, with
    a seed derived from rank 0's. An exception in one rank ends all ranks. A program that is not started by MPI has one
    rank, and `update` does what the trainer's `update` does.

    All ranks must call `update`, `total`, `compare`, `save` and `populate` in the same order. A rank without examples
    calls `update` without `backward`. All other methods and attributes except `update_subset` are the trainer's; set
    its options to the same values on all ranks.

    Args:
        trainer: the trainer, which on each rank has all parameters and updates them all.
        average: weight the gradients of the ranks by their numbers of examples, for losses that are means.
        compare_every: the number of updates between calls of `compare`; 0 means that it is never called.

    Raises:
        ParallelError: the ranks do not have the same model, or several processes cannot find each other, or this
            process is a child of a rank.

    >>> import dynet as dy
    >>> m = dy.ParameterCollection()
    >>> w = m.add_parameters(2, init=1.0)
    >>> trainer = dy.DataParallel(dy.SimpleSGDTrainer(m, 0.25))
    >>> for x in trainer.share([[1, 2], [3, 4]]):  # this rank's part of the minibatch
    ...     dy.dot_product(w, dy.inputVector(x)).backward()
    >>> trainer.update()
    >>> trainer.rank, trainer.size
    (0, 1)
    """

    def __init__(self, trainer: Trainer, *, average: bool = False, compare_every: int = 0):
        if not isinstance(trainer, Trainer):
            raise ArgumentTypeError(f"DataParallel: expected a trainer, got {type(trainer).__name__}")
        self._trainer = trainer
        self._average = checked_flag("DataParallel", "average", average)
        self._compare_every = whole("DataParallel", "compare_every", compare_every)
        if self._compare_every < 0:
            raise ArgumentError(f"DataParallel: compare_every is {compare_every}; it must not be negative")
        self._meeting: Any = meeting()  # this rank's connection to the others; None if there are none
        self._comm: Any = self._meeting and self._meeting.comm
        self._update_count = 0
        if self._meeting:
            self._serial_number = next(SERIAL_NUMBERS)
            self._version = -1  # `PARAMETER_ROWS.version` when `_meet` last set `_model_facts`; -1 before it has
            self._scaling_table = ParameterTable(trainer._collection, SCALE) if self._average else None
            with self._exchange("start"):
                self._broadcast()
                broadcast_randomness(self._comm)
                self._gradients = Gradients(trainer._table, self._comm)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "update_subset":
            hint = ": use set_updated(False) of the others, update()" * (name == "update_subset")
            raise AttributeError(f"DataParallel has no attribute {name!r}{hint}")
        return getattr(self._trainer, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute of the trainer, if this class does not define it. Refuse names that neither defines."""
        is_own = name.startswith("_") or hasattr(type(self), name)
        if is_own or not (hasattr(self._trainer, name) or type(self) is DataParallel):  # a subclass may add any
            super().__setattr__(name, value)
        else:
            getattr(self._trainer, name)  # if there is no such attribute, this raises the error, which may have a hint
            setattr(self._trainer, name, value)

    @property
    def trainer(self) -> Trainer:
        """The trainer."""
        return self._trainer

    @property
    def rank(self) -> int:
        """The number of this process, from 0 to `size` - 1."""
        return self._meeting.rank if self._meeting else 0

    @property
    def size(self) -> int:
        """The number of processes."""
        return self._meeting.size if self._meeting else 1

    def __repr__(self) -> str:
        return f"<DataParallel: rank {self.rank} of {self.size}; {self.trainer!r}>"

    def __reduce__(self) -> NoReturn:
        raise ArgumentTypeError("DataParallel cannot be copied or pickled; its .trainer can")

    def share(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return this rank's part of a minibatch, a slice. The ranks' parts differ in size by at most one example.

        All ranks must give the same minibatch, so they must shuffle their examples with the same seed.

        >>> import dynet as dy
        >>> trainer = dy.DataParallel(dy.AdamTrainer(dy.ParameterCollection()))
        >>> trainer.share("abc")
        'abc'
        """
        example_count = len(examples)
        return examples[example_count * self.rank // self.size : example_count * (self.rank + 1) // self.size]

    def total(self, number: Number) -> float:
        """Return the sum of a number, such as a loss, over all ranks. All ranks get the same sum.

        Raises:
            ParallelError: another rank has called a different method, or has ended.
        """
        own_number = plain_number("DataParallel.total: number", number)
        if not self._comm:
            return own_number
        with self._exchange("total"):
            all_numbers = np.empty(self.size)
            self._comm.Allgather(np.array([own_number]), all_numbers)
        try:
            return math.fsum(all_numbers)
        except (OverflowError, ValueError):  # raised for infinities, and for sums that are too large
            return sum(all_numbers.tolist())

    def update(self, s: Number = 1.0, examples: int | None = None) -> None:
        """Sum the gradients of all ranks, and update the parameters with the sums.

        Args:
            s: a factor by which the gradients are multiplied.
            examples: the number of examples over which this rank's loss is a mean. It is needed with `average`.

        Raises:
            ParallelError: the ranks are not about to do the same, or have different initial values of a new parameter;
                the message names the difference. Nothing has changed.
            ArgumentError: the learning rate times `s` is too large. Nothing has changed.
            GradientError: the sum is infinite or NaN, on all ranks. No parameter has changed.
        """
        factor = checked_number("DataParallel.update: s", s)
        if examples is None and self._average:
            raise ArgumentError(
                "DataParallel.update: average=True needs the number of this rank's examples, update(examples=...)"
            )
        example_count = whole("DataParallel.update", "examples", 0 if examples is None else examples)
        if not 0 <= example_count < EXAMPLES_LIMIT:
            raise ArgumentError(f"DataParallel.update: examples is {examples}; it must be a number of examples")
        trainer = self.trainer
        trainer._follow_schedule()
        # Check now, because the trainer checks after the exchange, when sums have replaced this rank's gradients.
        if not all(math.isfinite(float32(number)) for number in trainer._numbers(factor)):
            raise ArgumentError(
                f"DataParallel.update: learning rate {trainer.learning_rate} times s, {factor}, is too large"
            )
        if self._comm:
            with self._meeting.exchange():
                self._add_up_gradients(factor, example_count if self._average else 0)
        trainer.update() if factor == 1.0 else trainer.update(factor)
        self._update_count += 1
        if self._comm:
            self._meeting.updates = self._update_count
        if self._compare_every and self._update_count % self._compare_every == 0:
            self.compare()

    def _add_up_gradients(self, s: float, example_count: int) -> None:
        """Replace this rank's gradients by sums over ranks; with `average`, weighted by each rank's `example_count`."""
        trainer = self.trainer
        table = trainer._table.prepared()
        if self._gradients.version != PARAMETER_ROWS.version:
            self._gradients = Gradients(table, self._comm)
        rows = self._gradients.touched_rows()
        all_headers = self._meet("update", s, (example_count, len(rows), trainer._backward_has_run()))
        if self._version != self._synced_version:
            new_parameters = [p for p in self._all_parameters() if p._storage not in self._synced_storages]
            if difference := first_difference(self._comm, new_parameters):
                rank, name = difference
                raise ParallelError(
                    f"DataParallel.update: {name}, which was added later, has different initial values on rank {rank} "
                    "than on rank 0. All ranks must draw the same random numbers: make the same parameters in the same "
                    "order, also those of other models, or first call dy.reset_random_seed with the same seed"
                )
            self._note_synced_parameters()
        trainer._backward_elsewhere = bool(all_headers[:, BACKWARD].any())
        if self._scaling_table:
            all_examples = int(all_headers[:, EXAMPLES].sum())
            if not all_examples:
                raise ParallelError("DataParallel.update: with average=True, some rank must have examples")
            self._scaling_table.prepared().run([example_count / all_examples], trainer._dense)
        self._gradients.add_up(rows, all_headers[:, TOUCHED].copy())

    def _note_synced_parameters(self) -> None:
        self._synced_version, self._synced_storages = self._version, {p._storage for p in self._all_parameters()}

    def compare(self) -> None:
        """Check that all parameters, but not the trainer's state, are the same on all ranks, to the last bit.

        Raises:
            ParallelError: they are not; the message names the first parameter that differs.
        """
        if not self._comm:
            return
        with self._exchange("compare"):
            if difference := first_difference(self._comm, self._all_parameters()):
                rank, name = difference
                raise ParallelError(
                    f"DataParallel: after {self._update_count} updates, rank {rank} has different values of {name} "
                    "than rank 0. Set the same values on all ranks; processors of different kinds round differently"
                )

    def save(self, fname: Path, position: Mapping[str, int] | None = None) -> None:
        """Write a checkpoint: parameters, the trainer's state, and the position in the data. Rank 0 writes it.

        Args:
            fname: the file to write or replace. An older file is replaced only when everything is written. The format
                is safetensors if the name ends in `.safetensors`, else text.
            position: where training is in the data, as whole numbers by name: {"epoch": 3, "minibatch": 120}.

        Raises:
            ArgumentError: a position is not a whole number; raised on all ranks.
            OSError: the file cannot be written; raised on all ranks. An existing file has not changed.

        >>> import dynet as dy, tempfile
        >>> m = dy.ParameterCollection()
        >>> w = m.add_parameters(2, init=1.0)
        >>> trainer = dy.DataParallel(dy.AdamTrainer(m))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(folder + "/checkpoint", {"minibatch": 120})
        ...     trainer.populate(folder + "/checkpoint")
        {'minibatch': 120}
        """
        self._on_rank_0("save", lambda noises: write_checkpoint(fname, self.trainer, position or {}, noises))

    def populate(self, fname: Path) -> dict[str, int]:
        """Load a file that `save` wrote: set the models and trainers of all ranks. Return the stored `position`.

        Training then continues as if it had not been interrupted. If the number of ranks has changed, dropout draws
        different numbers. Rank 0 reads the file.

        Raises:
            FileFormatError: the file is damaged or for a different model; nothing has changed. Raised on all ranks.
            OSError: rank 0 cannot read the file. Raised on all ranks.
        """
        position, noise_states = self._on_rank_0("populate", lambda _: read_checkpoint(fname, self.trainer))
        if self._comm:
            with self._meeting.exchange():
                self._broadcast()
        if len(noise_states) == self.size:
            noise.set_state(*noise_states[self.rank])
        else:
            seed, *counts = noise_states[0]
            noise.set_state(noise.seed_of_rank(seed, self.rank), *counts)
        return position

    def _on_rank_0(self, action: str, save_or_load: Callable) -> Any:
        """Call `save_or_load` on rank 0, with each rank's `NoiseState`. All return its result or raise its error."""
        if not self._comm:
            return save_or_load([noise.state()])
        with self._exchange(action):
            noise_states = self._comm.gather(noise.state())
            result = problem = None
            if self.rank == 0:
                try:
                    result = save_or_load(noise_states)
                except Exception as raised:
                    problem = raised
            result, sent_problem = self._comm.bcast((result, problem and sendable_error(problem)))
        if problem or sent_problem:
            raise problem or sent_problem
        return result

    @contextlib.contextmanager
    def _exchange(self, action: str) -> Iterator[None]:
        # A context manager for a block in which ranks exchange data for `action`, such as "save".
        with self._meeting.exchange():
            self._meet(action)
            yield

    def _meet(self, action: str, s: float = 1.0, own_counts: Sequence[int] = (0, 0, 0)) -> Any:
        # Calls `Meeting.meet`, which checks that all ranks have the same model and options, and returns the headers.
        trainer = self.trainer
        if self._version != PARAMETER_ROWS.version:
            parameters, self._version = self._all_parameters(), PARAMETER_ROWS.version
            model = [
                ("the number of DataParallels before this", self._serial_number),
                ("the trainer", type(trainer).__name__),
                ("average", self._average),
                ("compare_every", self._compare_every),
                *((f"{'lookup ' * p._is_lookup}{p.name()}", p.type.dims) for p in parameters),
                *((f"whether {p.name()} is updated", p._updated) for p in parameters),
            ]
            self._model_facts = model, digest(model)
        options = [
            ("s", s),
            ("the learning rate", trainer._rate),
            ("the clipping threshold", trainer._threshold),
            ("the weight decay", trainer._collection._weight_decay),
            ("sparse updates", not trainer._dense),
            *((name.strip("_"), value) for name, value in vars(trainer).items() if type(value) is float),
        ]
        return self._meeting.meet(action, self._update_count, self._model_facts, options, own_counts)

    def _all_parameters(self) -> list[Any]:
        return self.trainer._collection._all_parameters()

    def _broadcast(self) -> None:
        """Copy the values of all parameters and the state of the trainer from rank 0 to all ranks."""
        states = self.trainer._table.prepared().state_blocks_in_order()
        broadcast(self._comm, [*(p._storage.values for p in self._all_parameters()), *itertools.chain(*states)])
        self.trainer._set_saved_numbers(self._comm.bcast(self.trainer._saved_numbers()))
        self.trainer._set_scores(self._comm.bcast(self.trainer._schedule_numbers()))
        self._note_synced_parameters()


# Exchanges of gradients, values and random generators' states. All ranks must call these functions together.

SCALE = stateless_rule("scale", "factor", g=lambda g, factor: g * factor)  # does not change the parameters


class Gradients:
    """The gradients of the trained parameters in a trainer's `ParameterTable`.

    The rows of all lookup parameters are numbered consecutively. The number after a parameter's last row stands for all
    its rows. The array `touched_list` of a lookup parameter says which of its rows have a gradient; see `Storage`.
    """

    def __init__(self, table: ParameterTable, comm: Any):
        self.comm, self.in_place = comm, mpi().IN_PLACE
        self.version = PARAMETER_ROWS.version  # once PARAMETER_ROWS.version differs, this object is out of date
        trained = [p._storage for p in table.all_parameters if PARAMETER_ROWS.needs_gradient(p._storage.row)]
        self.non_lookups = [storage for storage in trained if storage.touched_list is None]
        self.lookups = [storage for storage in trained if storage.touched_list is not None]
        # The number of each lookup parameter's first row, and at the end the count of all numbers.
        self.first_rows = np.cumsum([0, *(storage.row_count + 1 for storage in self.lookups)])
        self.exchange_buffer = np.empty(0, np.float32)
        self.sent_bytes = 0  # the number of bytes that this rank sent in the last exchange

    def touched_rows(self) -> np.ndarray:
        """Return the numbers of the rows of lookup parameters for which this rank has gradients."""
        numbers = [np.empty(0, np.int64)]
        for first, storage in zip(self.first_rows, self.lookups):
            touched = storage.touched_list
            # If a graph has used the whole table, the number after the last row stands for all rows.
            rows = np.array([storage.row_count]) if touched[-1] else touched[1 : 1 + touched[0]]
            numbers.append(rows + first)
        return np.concatenate(numbers)

    def add_up(self, own_rows: np.ndarray, row_counts: np.ndarray) -> None:
        """Replace this rank's gradients by the sums over all ranks.

        `own_rows` is this rank's result of `touched_rows`. `row_counts` has the length of each rank's result.
        """
        summed = [*((storage, slice(None)) for storage in self.non_lookups), *self._used_rows(own_rows, row_counts)]
        values = [storage.gradient.array.reshape(storage.row_count or 1, -1)[rows].ravel() for storage, rows in summed]
        section_ends = np.cumsum([0, *map(len, values)])
        if len(self.exchange_buffer) < section_ends[-1]:
            self.exchange_buffer = np.empty(section_ends[-1] * 5 // 4, np.float32)  # a quarter more, for later updates
        buffer = self.exchange_buffer[: section_ends[-1]]
        np.concatenate([buffer[:0], *values], out=buffer)
        self.comm.Allreduce(self.in_place, buffer)
        self.sent_bytes = buffer.nbytes + own_rows.nbytes
        for (storage, rows), section in zip(summed, np.split(buffer, section_ends[1:])):
            if storage.touched_list is None:
                storage.gradient.write(section)
            else:
                with storage.gradient.edit() as gradient:
                    gradient.reshape(storage.row_count, -1)[rows] = section.reshape(len(rows), -1)

    def _used_rows(self, own_rows: np.ndarray, row_counts: np.ndarray) -> Iterator[tuple[Storage, np.ndarray]]:
        """Yield (lookup parameter, its rows that some rank has used). Mark these rows as used on this rank."""
        if not row_counts.any():
            return
        all_rows = np.empty(row_counts.sum(), np.int64)
        self.comm.Allgatherv(own_rows, [all_rows, row_counts])
        all_rows = np.unique(all_rows)
        sections = np.split(all_rows, np.searchsorted(all_rows, self.first_rows[1:]))
        for storage, first, numbers in zip(self.lookups, self.first_rows, sections):
            rows = numbers - first
            if not len(rows):
                continue
            touched: Any = storage.touched_list
            if rows[-1] == storage.row_count:  # a graph of some rank has used the whole table
                touched[-1] = 1
                rows = np.arange(storage.row_count)
            touched[0] = len(rows)  # the rows themselves follow, and then a 0 or 1 for each row of the lookup parameter
            touched[1 : 1 + len(rows)] = rows
            touched[1 + storage.row_count + rows] = 1
            yield storage, rows


def broadcast(comm: Any, blocks: Sequence[Block]) -> None:
    packed = np.concatenate([np.empty(0, np.float32), *(block.array for block in blocks)])
    comm.Bcast(packed)
    if comm.rank:
        for block in blocks:
            values, packed = np.split(packed, [block.floats])
            block.write(values)


def first_difference(comm: Any, parameters: Sequence[Any]) -> tuple[int, str] | None:
    """Return the first rank whose values differ from rank 0's in any bit, and a parameter's name; None if all agree."""
    if not parameters:
        return None
    hashes = [
        hashlib.blake2b(np.ascontiguousarray(p._storage.values.array).data, digest_size=8).digest() for p in parameters
    ]
    different_names = [p.name() for p, mine, theirs in zip(parameters, hashes, comm.bcast(hashes)) if mine != theirs]
    for rank, names in enumerate(comm.allgather(different_names[:1])):
        if names:
            return rank, names[0]
    return None


def broadcast_randomness(comm: Any) -> None:
    """Copy rank 0's random generator for initial values to all ranks. Give each rank its own seed for dropout."""
    stream, (seed, *counts) = comm.bcast((random_stream.stream(), noise.state()))
    noise.set_rank(comm.rank)
    if comm.rank:
        random_stream.continue_with(stream)
        own_seed = noise.seed_of_rank(seed, comm.rank)
        # If an earlier DataParallel has set the seed, setting it again could repeat draws.
        if noise.state()[0] != own_seed:
            noise.set_state(own_seed, *counts)


# A checkpoint is a file with these tensors, in this order: a hash of the rest; the parameters; the states of the random
# generators; the position in the data; and the trainer's state. `tensor_of_numbers` stores numbers.

PARAMETERS, DIGEST, RANKS, POSITION = "/parameters", "/digest", "/ranks", "/position/"  # how names of tensors begin
LARGEST_POSITION = 2**53  # the largest value in `position`: whole numbers up to this are exact as a Python float
NoiseState = tuple[int, int, int]  # the state of dropout's random generator: seed, keys drawn, processes forked


def write_checkpoint(fname: Path, trainer: Trainer, position: Mapping[str, int], noises: Sequence[NoiseState]) -> None:
    if not isinstance(position, Mapping):
        raise ArgumentTypeError(f"save: position must be a dict, not {type(position).__name__} {position!r:.40}")
    positions = []
    for name, given_value in position.items():
        value = whole("save", f"position {name!r}", given_value)
        if not isinstance(name, str) or not name.isidentifier() or abs(value) > LARGEST_POSITION:
            raise ArgumentError(f"save: position {name!r}: {value!r}; it takes names with whole numbers")
        positions.append(tensor_of_numbers(POSITION + name, [value]))
    tensors = [
        *(StoredTensor(t.lookup, PARAMETERS + t.name, t.dims, t.values, None) for t in trainer._collection._tensors()),
        tensor_of_numbers(RANKS, [n for seed, *counts in noises for n in (seed >> 16, seed & 0xFFFF, *counts)]),
        *positions,
        *trainer._tensors(),
    ]
    model_files.save([tensor_of_numbers(DIGEST, _digest(tensors)), *tensors], fname)


def read_checkpoint(fname: Path, trainer: Trainer) -> tuple[dict[str, int], list[NoiseState]]:
    """Load a checkpoint into a trainer and its model. Return the position in the data, and each rank's `NoiseState`."""
    digest, *tensors = model_files.load_all(fname) or [tensor_of_numbers("", [])]  # an empty file is no checkpoint
    if digest.name != DIGEST:
        raise FileFormatError(f"{fname} is not a checkpoint of DataParallel")
    if _whole_numbers(digest) != _digest(tensors):
        raise FileFormatError(f"{fname}: the checkpoint is damaged")
    expected = [(t.lookup, PARAMETERS + t.name, t.dims) for t in trainer._collection._tensors()]
    parameters, tensors = tensors[: len(expected)], tensors[len(expected) :]
    if [(t.lookup, t.name, t.dims) for t in parameters] != expected or not tensors or tensors[0].name != RANKS:
        raise FileFormatError(f"{fname}: the checkpoint has different parameters than the model")
    integers = _whole_numbers(tensors.pop(0))
    noise_states = [(high << 16 | low, drawn, forks) for high, low, drawn, forks in zip(*[iter(integers)] * 4)]
    position: dict[str, int] = {}
    while tensors and tensors[0].name.startswith(POSITION):
        stored = tensors.pop(0)
        (position[stored.name.removeprefix(POSITION)],) = _whole_numbers(stored)
    trainer._load(tensors, fname)
    for parameter, t in zip(trainer._collection._all_parameters(), parameters):
        parameter._storage.set_values(t.values)
    return position, noise_states


def _digest(tensors: Iterable[StoredTensor]) -> list[int]:
    """Return a hash of tensors, as four 16-bit numbers, to detect damage to the file."""
    hashed = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        hashed.update(repr((tensor.lookup, tensor.name, tuple(tensor.dims))).encode())
        hashed.update(np.ascontiguousarray(tensor.values, np.float32).data)
    return np.frombuffer(hashed.digest(), "<u2").tolist()


def _whole_numbers(tensor: StoredTensor) -> list[int]:
    """Return the whole numbers from which `tensor_of_numbers` made a tensor; [] if the tensor is damaged."""
    is_valid = len(tensor.values) % 3 == 0 and np.isfinite(tensor.values).all()
    return [*map(int, stored_numbers(tensor.values))] if is_valid else []
