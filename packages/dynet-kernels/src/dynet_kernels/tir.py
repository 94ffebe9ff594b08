"""The forms of TIR that every kernel is written in.

A kernel is a private PrimFunc over one float32 `memory` and one int64 `index` array. Where its lists of addresses
stand, how many columns it works on and its integer parameters come from one instruction of the tape.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from .layout import CACHE_LINE, WHOLE
from .lazy import T, ir, ir_builder, tirx

UNBOUNDED = 1 << 40  # the declared extent of raw buffers: keeps their indices 64 bits wide
ON_STACK = {"disable_lower_builtin": True}  # scratch in registers or on the stack instead of a workspace


def int64(value):
    return tirx.const(value, "int64") if isinstance(value, int) else value


def float32(value):
    return tirx.const(value, "float32")


def let(value, name="t"):
    """Name a value, so that it is computed once."""
    bound = T.bind(value)
    ir_builder.IRBuilder.name(name, bound)
    return bound


def pointer(address, dtype):
    """An address that came as an integer."""
    return let(T.reinterpret(ir.PointerType(ir.PrimType(dtype)), address), "pointer")


def function(name, parameters, body, private=False):
    """A PrimFunc of int64 parameters, from an emitter of its body."""
    with ir_builder.IRBuilder() as builder:
        with T.prim_func(s_tir=True, is_private=private):
            T.func_name(name)
            body(*[T.arg(parameter, T.int64()) for parameter in parameters])
    return builder.get()


def emitted(name, body, private=False):
    """The same, of parameters named as those of the emitter."""
    return function(name, list(inspect.signature(body).parameters), body, private)


def buffer_at(address, dtype):
    return T.decl_buffer((UNBOUNDED,), dtype, data=pointer(address, dtype))


def quotient(number, divisor):
    """How often a positive number, which may be a plain int, goes into one that is not negative."""
    if isinstance(divisor, int):
        if divisor & (divisor - 1) == 0:
            return T.shift_right(number, int64(divisor.bit_length() - 1))
        return T.truncdiv(number, int64(divisor))
    # Exact below 2 ** 53. What LLVM knows to be a quotient of integers it divides anew in loops that depend on it.
    wide = [T.Cast("float64", each) for each in (number, divisor)]
    return T.Cast("int64", wide[0] / wide[1])


def remainder(number, divisor):
    """What is left over by `quotient`."""
    if isinstance(divisor, int):
        if divisor & (divisor - 1) == 0:
            return T.bitwise_and(number, int64(divisor - 1))
        divisor = int64(divisor)
    return T.truncmod(number, divisor)


@contextmanager
def when(condition):
    with T.If(condition), T.Then():
        yield


def choose(condition, then, otherwise):
    """Run one of two emitters."""
    with T.If(condition):
        with T.Then():
            then()
        with T.Else():
            otherwise()


def wide(value, lanes):
    return T.Broadcast(value, lanes) if lanes > 1 else value


def vector_type(dtype, lanes):
    return f"{dtype}x{lanes}" if lanes > 1 else dtype


def first_lanes(count, lanes):
    """A mask with the first `count` lanes on."""
    numbers = T.Ramp(tirx.const(0, "int32"), tirx.const(1, "int32"), lanes)
    return numbers < T.Broadcast(T.Cast("int32", count), lanes)


def load(buffer, start, lanes, mask=None):
    if mask is not None:
        return let(T.masked_load(f"float32x{lanes}", buffer, T.Ramp(start, int64(1), lanes), mask))
    return let(buffer.vload((start,), vector_type("float32", lanes)))


def store(buffer, start, value, mask=None):
    if mask is not None:
        T.evaluate(T.masked_store(buffer, value, T.Ramp(start, int64(1), mask.ty.dtype.lanes), mask))
    else:
        T.add_to_parent(buffer.vstore((start,), value))


def prefetch(buffer, start, size):
    """Have `size` floats that will be read soon brought into the second cache."""
    with T.serial(int64(0), quotient(size + int64(CACHE_LINE - 1), CACHE_LINE)) as line:
        prefetch_line(buffer, start + line * int64(CACHE_LINE))


def prefetch_line(buffer, place):
    """The same for the cache line that holds one float."""
    how = [tirx.const(number, "int32") for number in (0, 2, 1)]  # to be read, kept for some time, no code
    T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch.p0", T.address_of(buffer[place]), *how))


def vector_loop(size, lanes, step):
    """`step(offset, mask)` for every full vector, then once under a mask for the rest."""
    with T.serial(int64(0), quotient(size, lanes)) as block:
        step(let(block * int64(lanes)), None)
    if lanes == 1:
        return
    rest = let(remainder(size, lanes))
    with when(rest > int64(0)):
        step(let(size - rest), first_lanes(rest, lanes))


def unrolled_loop(size, lanes, vectors, step):
    """`step(offsets, mask)` for `vectors` full vectors at a time, then for one after the other as in a vector loop."""
    begin = int64(0)
    if vectors > 1:
        blocks = let(quotient(size, vectors * lanes))
        with T.serial(int64(0), blocks) as block:
            start = let(block * int64(vectors * lanes))
            step([start] + [let(start + int64(k * lanes)) for k in range(1, vectors)], None)
        begin = let(blocks * int64(vectors * lanes))
        size = let(remainder(size, vectors * lanes))  # not a difference: so LLVM knows how many vectors may be left
    vector_loop(size, lanes, lambda offset, mask: step([let(begin + offset) if vectors > 1 else offset], mask))


class Accumulator:
    """A vector that stays in registers across loop iterations."""

    def __init__(self, lanes, value, dtype="float32"):
        self.type = vector_type(dtype, lanes)
        self.buffer = T.alloc_buffer((lanes,), dtype, scope="local", annotations=ON_STACK)
        self.set(value)

    def get(self):
        return self.buffer.vload((int64(0),), self.type)

    def set(self, value):
        T.add_to_parent(self.buffer.vstore((int64(0),), value))


class Counter:
    """A mutable int64 in a register."""

    def __init__(self, value):
        self.buffer = T.alloc_buffer((1,), "int64", scope="local", annotations=ON_STACK)
        self.set(value)

    def get(self):
        return self.buffer[int64(0)]

    def set(self, value):
        T.buffer_store(self.buffer, value, [int64(0)])


@dataclass
class Instruction:
    """What a kernel body sees: memory, its columns and its parameters.

    `count` columns are worked on at once; list `role` holds one address, in floats, for each of them, and lists begin
    `stride` places after one another. `fresh` is 1 if what the kernel adds to is uninitialised; on a GPU it is always
    0. Where threads of a CPU share columns, as many `others` are others', and of these `columns_before` come first;
    where they share rows, the shares `rows_before` and `rows_after` are others'.
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

    def thread(self, axis, extent):
        """Bind the rest of the kernel to a GPU axis; this thread's number on it."""
        return let(T.Cast("int64", self.scope.enter_context(T.launch_thread(axis, extent))), "thread")

    def address(self, role, column):
        return let(self.index[self.base + role * self.stride + column], "at")  # type: ignore

    def shared_address(self, role, column):
        """The same of a list that may hold the address of the very first column alone, which all others share."""
        return let(self.index[self.base - self.columns_before + role * self.stride + column], "at")  # type: ignore

    def stretch(self, count, unit=1):
        """This thread's stretch of `count` neighbours, in whole units but for the last: where it begins and ends."""
        units = let(quotient(count + int64(unit - 1), unit))
        first, end = (share_of(units, share) for share in (self.rows_before, int64(WHOLE) - self.rows_after))  # type: ignore
        return let(T.min(first * int64(unit), count)), let(T.min(end * int64(unit), count))


def share_of(count, share):
    """A share of a number of things, in parts of WHOLE."""
    return T.shift_right(count * share, int64(WHOLE.bit_length() - 1))


def add_or_set(instruction: Instruction, buffer, start, value, mask=None):
    """Add to memory, or overwrite it if it is uninitialised."""
    lanes = mask.ty.dtype.lanes if mask is not None else value.ty.dtype.lanes
    fresh = wide(instruction.fresh != int64(0), lanes)  # type: ignore
    so_far = let(T.Select(fresh, wide(float32(0.0), lanes), load(buffer, start, lanes, mask)))
    store(buffer, start, so_far + value, mask)


COLUMNS, ROWS, EITHER = "columns", "rows", "either"


def kernel(
    body: Callable[[Instruction], None], parameters: tuple[str, ...], may_set: bool = False, shared: str | None = None
):
    """Build the private PrimFunc of one kernel from `body(instruction)`; one that `may_set` is told what is fresh.

    One that is `shared` by COLUMNS sees those of its thread as if there were no others; by ROWS, the body asks for the
    stretches of its thread. By EITHER, it does both.
    """
    with ir_builder.IRBuilder() as builder:
        with T.prim_func(is_private=True, s_tir=True):
            T.func_name("kernel")
            memory = T.arg("memory", T.handle("float32"))
            index = T.arg("index", T.handle("int64"))
            base, count = T.arg("base", T.int64()), T.arg("count", T.int64())
            fresh = T.arg("fresh", T.int64()) if may_set else int64(0)
            others = T.arg("others", T.int64()) if shared in (COLUMNS, EITHER) else int64(0)
            columns_before = T.arg("columns_before", T.int64()) if shared == EITHER else int64(0)
            before, after = (
                T.arg(name, T.int64()) if shared in (ROWS, EITHER) else int64(0)
                for name in ("rows_before", "rows_after")
            )
            numbers = [T.arg(name, T.int64()) for name in parameters]
            with ExitStack() as scope:
                body(
                    Instruction(
                        T.decl_buffer((UNBOUNDED,), "float32", data=memory),
                        T.decl_buffer((UNBOUNDED,), "int64", data=index),
                        base,
                        count,
                        let(count + others) if shared in (COLUMNS, EITHER) else count,
                        fresh,
                        others,
                        columns_before,
                        before,
                        after,
                        numbers,
                        scope,
                    )
                )
    return builder.get()


def value_role(view: int) -> int:
    """The list that holds where a view's values stand."""
    return 2 * view


def gradient_role(view: int) -> int:
    """The list that holds where a view's gradients stand."""
    return 2 * view + 1
