"""Functions that emit TIR, TVM's intermediate code, for kernels.

They return TIR expressions, which have values only when the kernel runs. An address is an int64, an index into
`memory`, which is the whole memory as an array of float32s.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from .layout import ALL_ROWS, ALONE, BY_COLUMNS, BY_ROWS, CACHE_LINE, EITHER
from .tvm_modules import T, ir, ir_builder, tirx

UNBOUNDED = 1 << 40  # the declared size of a buffer of unknown size: large enough that TVM uses 64-bit indices
ON_STACK = {"disable_lower_builtin": True}  # an annotation that puts a local buffer in registers or on the stack


# An argument that says that a buffer has no layout, for which TVM would otherwise search all of the surrounding code.
NO_LAYOUT = {"layout": None}


@functools.cache
def _int64(value: int):
    return tirx.const(value, "int64")


def int64(value):
    return _int64(value) if isinstance(value, int) else value


def float32(value):
    return tirx.const(value, "float32")


def let(value, name="t"):
    """Bind an expression to a new variable, so that it is computed once, and return the variable."""
    bound = T.bind(value)
    ir_builder.IRBuilder.name(name, bound)
    return bound


def pointer(address, dtype):
    """Convert an address in bytes to a pointer to `dtype`."""
    return let(T.reinterpret(ir.PointerType(ir.PrimType(dtype)), address), "pointer")


def function(name, parameters, body, is_private=False, has_result=False):
    """Build a TIR function with int64 parameters. `body(*parameters)` emits its code.

    If `has_result`, the function returns an int64, the expression that `body` returns.
    """
    with ir_builder.IRBuilder() as builder:
        with T.prim_func(s_tir=True, is_private=is_private):
            T.func_name(name)
            if has_result:
                T.func_ret(ir.PrimType("int64"))
            result = body(*[T.arg(parameter, T.int64()) for parameter in parameters])
            if has_result:
                T.Return(result)
    return builder.get()


def function_of(name, body, is_private=False, has_result=False):
    """Like `function`, but take the names of the parameters from `body`."""
    return function(name, list(inspect.signature(body).parameters), body, is_private, has_result)


def buffer_at(address, dtype):
    return T.decl_buffer((UNBOUNDED,), dtype, data=pointer(address, dtype), **NO_LAYOUT)


def on_stack(count, dtype):
    return T.alloc_buffer((count,), dtype, scope="local", annotations=ON_STACK, **NO_LAYOUT)


def quotient_and_remainder(number, divisor):
    """Emit (number // divisor, number % divisor)."""
    return let(T.floordiv(number, divisor)), let(T.floormod(number, divisor))


def quotient(number, divisor):
    """Emit number // divisor for a number >= 0 and a divisor > 0. A constant divisor may be a Python int."""
    if isinstance(divisor, int):
        if divisor & (divisor - 1) == 0:
            return T.shift_right(number, divisor.bit_length() - 1)
        return T.truncdiv(number, divisor)
    # Use float64s, exact below 2 ** 53: if a loop ends at the quotient, LLVM would repeat an integer division in it.
    operands = [T.Cast("float64", int64(operand)) for operand in (number, divisor)]
    return T.Cast("int64", operands[0] / operands[1])


def remainder(number, divisor):
    """Emit number % divisor for a number >= 0 and a divisor > 0. A constant divisor may be a Python int."""
    if isinstance(divisor, int) and divisor & (divisor - 1) == 0:
        return T.bitwise_and(number, divisor - 1)
    return T.truncmod(number, divisor)


def serial(begin, end=None):
    """Return the context of a loop from `begin` to `end` - 1, or from 0 if called with one argument, like `range`."""
    begin, end = (0, begin) if end is None else (begin, end)
    return T.serial(int64(begin), int64(end))


@contextmanager
def when(condition):
    with T.If(condition), T.Then():
        yield


def choose(condition, then, otherwise):
    with T.If(condition):
        with T.Then():
            then()
        with T.Else():
            otherwise()


def broadcast(value, lanes):
    value = float32(value) if isinstance(value, float) else value
    return T.Broadcast(value, lanes) if lanes > 1 else value


def vector_type(dtype, lanes):
    return f"{dtype}x{lanes}" if lanes > 1 else dtype


def first_lanes(count, lanes):
    """Return a mask that selects the first `count` lanes of a vector."""
    numbers = T.Ramp(tirx.const(0, "int32"), tirx.const(1, "int32"), lanes)
    return numbers < T.Broadcast(T.Cast("int32", count), lanes)


def load(buffer, start, lanes=1, mask=None, dtype="float32"):
    if mask is not None:
        return let(T.masked_load(f"{dtype}x{lanes}", buffer, T.Ramp(start, int64(1), lanes), mask))
    return let(buffer.vload((start,), vector_type(dtype, lanes)))


def store(buffer, start, value, mask=None):
    if mask is not None:
        T.evaluate(T.masked_store(buffer, value, T.Ramp(start, int64(1), mask.ty.dtype.lanes), mask))
    else:
        T.add_to_parent(buffer.vstore((start,), value))


def prefetch(buffer, start, size):
    """Prefetch `size` floats, starting at index `start` of a buffer, into the L2 cache."""
    with serial(quotient(int64(size) + CACHE_LINE - 1, CACHE_LINE)) as line:
        prefetch_line(buffer, start + line * CACHE_LINE)


def prefetch_line(buffer, index):
    """Prefetch the cache line of the float at an index into the L2 cache."""
    # 0: prefetch for reading; 2: into the L2 cache; 1: data, not code
    hints = [tirx.const(constant, "int32") for constant in (0, 2, 1)]
    T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch.p0", T.address_of(buffer[index]), *hints))


def vector_loop(size, lanes, emit):
    """Emit a loop over `size` elements in vectors of `lanes`.

    emit(offset, mask) emits the work on one vector. The mask is None for a full vector. The elements that are left over
    at the end form a last vector, whose mask selects the lanes to use.
    """
    with serial(quotient(size, lanes)) as block:
        emit(let(block * lanes), None)
    if lanes == 1:
        return
    rest = let(remainder(size, lanes))
    with when(rest > 0):
        emit(let(size - rest), first_lanes(rest, lanes))


def masked_loop(size, lanes, emit):
    """Like `vector_loop`, but emit half as much code, in which every vector has a mask."""
    with serial(quotient(size + lanes - 1, lanes)) as block:
        offset = let(block * lanes)
        emit(offset, first_lanes(let(size - offset), lanes) if lanes > 1 else None)


def unrolled_loop(size, lanes, vectors, emit):
    """Emit a loop over `size` elements that works on `vectors` full vectors at a time, then on single vectors.

    emit(offsets, mask) emits the work on the vectors at a list of offsets. The mask is as in `vector_loop`.
    """
    begin = 0
    if vectors > 1:
        blocks = let(quotient(size, vectors * lanes))
        with serial(blocks) as block:
            start = let(block * (vectors * lanes))
            emit([start] + [let(start + k * lanes) for k in range(1, vectors)], None)
        begin = let(blocks * (vectors * lanes))
        # Compute the number of remaining elements by `remainder`, which gives LLVM an upper bound, not by subtraction.
        size = let(remainder(size, vectors * lanes))
    vector_loop(size, lanes, lambda offset, mask: emit([let(begin + offset) if vectors > 1 else offset], mask))


class Accumulator:
    """A vector variable, which stays in a register while a loop changes it."""

    def __init__(self, lanes, value, dtype="float32"):
        self.type = vector_type(dtype, lanes)
        self.buffer = on_stack(lanes, dtype)
        self.set(broadcast(tirx.const(value, dtype), lanes) if isinstance(value, float) else value)

    def get(self):
        return self.buffer.vload((int64(0),), self.type)

    def set(self, value):
        T.add_to_parent(self.buffer.vstore((int64(0),), int64(value)))

    value = property(get, set)


class IntVariable(Accumulator):
    """An int64 variable in a register, which loops can change."""

    def __init__(self, value):
        super().__init__(1, value, "int64")


def settled(value):
    """Compute the int64 `value` once, and return a variable that holds it in a register."""
    # `let` alone is not enough: TVM substitutes the expression wherever the variable is used. Its simplifier would then
    # take seconds, or minutes for a GPU, if the expression is an address with selections and divisions.
    return let(IntVariable(value).value)


@dataclass
class Instruction:
    """The instruction that a kernel carries out: TIR expressions for what the kernel needs to know.

    Args:
        memory: the array of all float32s, whose indices are addresses.
        index: the address lists of all instructions.
        base: the offset of the instruction's address lists in `index`. The list for `role` begins at base +
            role * stride, and has one address for each column.
        count: the number of columns that this thread works on.
        stride: the number of integers from the start of one address list to the start of the next.
        fresh: 1 if the memory that the kernel adds to is uninitialized, so that the kernel must overwrite it. None if
            the kernel does not distinguish these cases, as on a GPU.
        others: the number of columns that other CPU threads work on; 0 unless threads share the columns.
        columns_before: how many of these come before this thread's columns, if the kernel is EITHER; otherwise 0.
        rows_before: the fraction of the result's rows before this thread's rows, in units of 1 / ALL_ROWS; 0 unless
            threads share the rows.
        rows_after: the fraction of the rows after this thread's rows, in units of 1 / ALL_ROWS.
        parameters: the integer parameters.
        scope: context managers, such as axes of GPU threads, that are to end when the kernel's code is complete.
        atomic: whether other threads may add to the same floats, as on a GPU.
    """

    memory: object
    index: object
    base: object
    count: object
    stride: object
    fresh: object
    others: object
    columns_before: object
    rows_before: object
    rows_after: object
    parameters: list
    scope: ExitStack
    atomic: bool

    def thread(self, axis, extent):
        """Run the rest of the kernel on `extent` GPU threads or blocks along an axis. Return this one's number."""
        return let(T.Cast("int64", self.scope.enter_context(T.launch_thread(axis, extent))), "thread")

    def address(self, role, column):
        return let(self.index[self.base + role * self.stride + column], "at")  # type: ignore

    def addresses(self, column, *roles):
        return [self.address(role, column) for role in roles]

    def shared_address(self, role, column):
        """Load an address from list number `role`; `column` counts from the instruction's first column.

        Use this when all columns share one address, because the list may have the address only for the instruction's
        first column, which may belong to another thread. (`address` counts from this thread's first column.)
        """
        return let(self.index[self.base - self.columns_before + role * self.stride + column], "at")  # type: ignore

    def own_rows(self, count, unit=1):
        """Return (first row, end) of this thread's share of `count` rows. Shares begin at multiples of `unit`."""
        units = let(quotient(count + int64(unit - 1), unit))
        first, end = (share_of(units, share) for share in (self.rows_before, int64(ALL_ROWS) - self.rows_after))  # type: ignore
        return settled(T.min(first * int64(unit), count)), settled(T.min(end * int64(unit), count))

    def write(self, start, value, mask=None, add=False):
        """Write `value` to memory at `start` or, if `add` and unless the instruction is fresh, add it to the memory."""
        if not add:
            store(self.memory, start, value, mask)
        elif self.atomic:
            T.evaluate(T.call_extern("float32", "atomicAdd", T.address_of(self.memory[start]), value))  # type: ignore
        else:
            lanes = mask.ty.dtype.lanes if mask is not None else value.ty.dtype.lanes
            before = load(self.memory, start, lanes, mask)
            if self.fresh is not None:
                before = let(T.Select(broadcast(self.fresh != int64(0), lanes), broadcast(float32(0.0), lanes), before))
            store(self.memory, start, before + value, mask)


def share_of(count, share):
    """Return the fraction `share` / ALL_ROWS of `count`, rounded down."""
    return count * share >> ALL_ROWS.bit_length() - 1


def kernel(
    body: Callable[[Instruction], None],
    parameters: tuple[str, ...],
    may_set: bool = False,
    shared: int = ALONE,
    atomic: bool = False,
):
    """Build the TIR function of a kernel.

    Args:
        body: body(instruction) emits the code of the kernel.
        parameters: the names of the integer parameters.
        may_set: whether the kernel overwrites its target instead of adding to it if `Instruction.fresh` is 1. If not,
            `Instruction.fresh` is None.
        shared: how CPU threads share an instruction. BY_COLUMNS: the kernel sees only its thread's columns. BY_ROWS:
            the body gets its thread's rows from `Instruction.own_rows`. EITHER: threads share some instructions by
            columns and others by rows, and the body must allow for both. ALONE: one thread runs the whole instruction.
        atomic: whether additions are atomic, as on a GPU.
    """
    by_columns, by_rows = shared in (BY_COLUMNS, EITHER), shared in (BY_ROWS, EITHER)

    def integer(name, is_given=True):
        return T.arg(name, T.int64()) if is_given else int64(0)

    with ir_builder.IRBuilder() as builder:
        with T.prim_func(is_private=True, s_tir=True):
            T.func_name("kernel")
            memory = T.arg("memory", T.handle("float32"))
            index = T.arg("index", T.handle("int64"))
            base, count = integer("base"), integer("count")
            fresh = integer("fresh") if may_set else None
            others, columns_before = integer("others", by_columns), integer("columns_before", shared == EITHER)
            shares = others, columns_before, integer("rows_before", by_rows), integer("rows_after", by_rows)
            numbers = [integer(name) for name in parameters]
            with ExitStack() as scope:
                memory = T.decl_buffer((UNBOUNDED,), "float32", data=memory)
                index = T.decl_buffer((UNBOUNDED,), "int64", data=index)
                stride = let(count + others) if by_columns else count
                body(Instruction(memory, index, base, count, stride, fresh, *shares, numbers, scope, atomic))
    return builder.get()
