"""Read pickles without calling anything that they name.

Where Python's own reader would import and call what a pickle names, this one calls methods of a `Names` object.
`OPCODES` has the opcodes (instructions of pickles) that plain data need. Others are for persistent objects, the
extension registry and out-of-band buffers, and are refused.
"""

from __future__ import annotations

import pickletools
from collections import deque
from collections.abc import Callable
from typing import Any, BinaryIO

from .limits import DEEPEST, is_a
from .names import Names, Refused
from .plain_data import add_items, set_items


class PickleReader:
    """Reads one pickle. `stack` has the values since the last mark, `below` the stacks before each mark.

    The opcode MARK begins the items of a container: it appends `stack` to `below` and starts an empty one. `memo` has
    the values that the pickle uses again, by the numbers that it gives them.
    """

    def __init__(self, names: Names):
        self.names, self.limits = names, names.limits
        self.stack: list = []
        self.below: list[list] = []
        self.memo: dict[int, Any] = {}

    def read(self, file: BinaryIO) -> Any:
        """Read the next pickle of a file and return its value."""
        for opcode, argument, _ in pickletools.genops(file):
            perform = OPCODES.get(opcode.name)
            if perform is None:
                raise ValueError(f"opcode {opcode.name}, which plain data do not need")
            perform(self, argument)
        if self.below or len(self.stack) != 1:
            raise ValueError("a pickle that ends within a value")
        return self.stack[0]

    def top(self, count: int) -> list:
        if count > len(self.stack):
            raise ValueError("a stack that is too short")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def to_mark(self) -> list:
        """Pop all values since the last mark and return them. Remove the mark."""
        values, self.stack = self.stack, self.below.pop()
        return values


Perform = Callable[[PickleReader, Any], None]


def _nothing(reader: PickleReader, argument: Any) -> None:
    pass


def _push(reader: PickleReader, argument: Any) -> None:
    reader.stack.append(argument)


def _mark(reader: PickleReader, argument: None) -> None:
    if len(reader.below) > DEEPEST:
        raise ValueError("it is nested too deeply")
    reader.below.append(reader.stack)
    reader.stack = []


def _pop(reader: PickleReader, argument: None) -> None:
    if reader.stack:
        del reader.stack[-1]
    else:
        reader.to_mark()


def _pop_mark(reader: PickleReader, argument: None) -> None:
    reader.to_mark()


def _duplicate(reader: PickleReader, argument: None) -> None:
    reader.stack.append(reader.stack[-1])


def _put(reader: PickleReader, number: int) -> None:
    reader.memo[number] = reader.stack[-1]


def _memoize(reader: PickleReader, argument: None) -> None:
    reader.memo[len(reader.memo)] = reader.stack[-1]


def _get(reader: PickleReader, number: int) -> None:
    reader.stack.append(reader.memo[number])


def _value(make: Callable[[], Any]) -> Perform:
    """Return the opcode that pushes `make()`."""
    return lambda reader, argument: reader.stack.append(make())


def _of_top(count: int) -> Perform:
    """Return the opcode that replaces the last `count` values by a tuple of them."""
    return lambda reader, argument: reader.stack.append(tuple(reader.top(count)))


def _of_marked(make: Callable[[PickleReader, list], Any]) -> Perform:
    """Return the opcode that replaces all values since the last mark by the result of `make`."""

    def perform(reader: PickleReader, argument: None) -> None:
        values = reader.to_mark()
        reader.stack.append(make(reader, values))

    return perform


def _into_below(put: Callable[[PickleReader, Any, list], None], count: int = 0) -> Perform:
    """Return the opcode that moves `count` values (0: all since the last mark) into the container below them."""

    def perform(reader: PickleReader, argument: None) -> None:
        values = reader.top(count) if count else reader.to_mark()
        target = reader.stack[-1]
        if type(target) is not Refused:
            put(reader, target, values)

    return perform


def _append(reader: PickleReader, target: Any, values: list) -> None:
    (list if is_a(target, list) else deque).extend(target, values)


def _set(reader: PickleReader, target: Any, values: list) -> None:
    set_items(target, _pairs(values), reader.limits)


def _add(reader: PickleReader, target: Any, values: list) -> None:
    add_items(target, values, reader.limits)


def _pairs(values: list):
    return zip(values[::2], values[1::2], strict=True)


def _dict(reader: PickleReader, values: list) -> dict:
    made: dict = {}
    set_items(made, _pairs(values), reader.limits)
    return made


def _frozenset(reader: PickleReader, values: list) -> frozenset:
    return frozenset(reader.limits.key(value, values) for value in values)


def _global(reader: PickleReader, names: str) -> None:
    reader.stack.append(reader.names.find(*names.split(" ", 1)))


def _stack_global(reader: PickleReader, argument: None) -> None:
    module, name = reader.top(2)
    if type(module) is not str or type(name) is not str:
        raise ValueError("a name that is not a string")
    reader.stack.append(reader.names.find(module, name))


def _call(reader: PickleReader, argument: None) -> None:
    callee, arguments = reader.top(2)
    reader.stack.append(reader.names.call(callee, arguments))


def _call_with_names(reader: PickleReader, argument: None) -> None:
    callee, arguments, named = reader.top(3)
    made = reader.names.call(callee, arguments)
    if type(made) is not Refused and (type(named) is not dict or named):
        raise ValueError("arguments with names, which plain data do not need")
    reader.stack.append(made)


def _call_marked(reader: PickleReader, values: list) -> Any:
    callee, *arguments = values
    return reader.names.call(callee, tuple(arguments))


def _call_global(reader: PickleReader, names: str) -> None:
    arguments = tuple(reader.to_mark())
    reader.stack.append(reader.names.call(reader.names.find(*names.split(" ", 1)), arguments))


def _build(reader: PickleReader, argument: None) -> None:
    (state,) = reader.top(1)
    reader.names.build(reader.stack[-1], state)


_VALUES = """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING
    UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
"""
OPCODES: dict[str, Perform] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(_VALUES.split(), _push),
    "NONE": _value(lambda: None), "NEWTRUE": _value(lambda: True), "NEWFALSE": _value(lambda: False),
    "MARK": _mark, "POP": _pop, "POP_MARK": _pop_mark, "DUP": _duplicate,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put), "MEMOIZE": _memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "EMPTY_TUPLE": _value(tuple), "EMPTY_LIST": _value(list), "EMPTY_DICT": _value(dict), "EMPTY_SET": _value(set),
    "TUPLE1": _of_top(1), "TUPLE2": _of_top(2), "TUPLE3": _of_top(3),
    "TUPLE": _of_marked(lambda reader, values: tuple(values)), "LIST": _of_marked(lambda reader, values: values),
    "DICT": _of_marked(_dict), "FROZENSET": _of_marked(_frozenset),
    "APPEND": _into_below(_append, 1), "APPENDS": _into_below(_append), "ADDITEMS": _into_below(_add),
    "SETITEM": _into_below(_set, 2), "SETITEMS": _into_below(_set),
    "GLOBAL": _global, "STACK_GLOBAL": _stack_global,
    "REDUCE": _call, "NEWOBJ": _call, "NEWOBJ_EX": _call_with_names, "OBJ": _of_marked(_call_marked),
    "INST": _call_global, "BUILD": _build,
}  # fmt: skip
"""The function that performs each opcode, by the opcode's name in the module `pickletools`."""
