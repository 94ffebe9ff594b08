"""The fast paths of ops: compiled code that appends operations to the graph.

A path checks the operands of a call, looks up the call's key in the op's table, and appends a record: the signature in
the row, the operands, the attributes. If there is no row, or a check fails, the path leaves the entry, and a Python
function runs. The meaning of a row's `limit` depends on the op.
"""

from __future__ import annotations

from collections.abc import Callable

from ..plain import on_stack, plain
from . import words
from .arrays import read_indices
from .c_api import call_python, need
from .calls import recording
from .extension import c_function
from .here import Here, Item, NewRecord, checked_index, graph_here
from .structures import Function, Row, Shared, Slice
from .tables import extended_hash, find, find_row_with_hash


@recording(1)
def one(here: Here, function: Function, x: Item):
    """Record an op on one expression. The key is its Dim."""
    need(here.is_operand(x))
    row = find(function, x.dim)
    return here.append(row.result, row.signature, x.at)


@recording(2, key=2)
def two(here: Here, function: Function, a: Item, b: Item):
    """Record an op on two expressions. The key is their Dims."""
    need(here.is_operand(a) and here.is_operand(b))
    row = find(function, a.dim, b.dim)
    return here.append(row.result, row.signature, a.at, b.at)


@recording(2, number=1)
def with_number(here: Here, function: Function, x: Item, number: Item, sign=1):
    """Record an op on an expression and a number. The key is the Dim of the expression.

    The number, multiplied by `sign`, is stored in the graph's input buffer. Its offset there becomes an attribute.
    """
    need(here.is_operand(x))
    value, row, new = here.number(number), find(function, x.dim), NewRecord(here, 3, 1)
    new.floats[new.inputs_start] = value if sign == 1 else -value
    new.write(row.signature, x.at, new.inputs_start)
    return new.finish(row.result)


@recording(2, index=False, lookup=True)
def index(here: Here, function: Function, x: Item, index_object: Item, of_lookup=False, from_end=False):
    """Record an op on an expression and an index, which becomes an attribute. The key is the Dim of the expression.

    The index must be at least 0 and below the row's `limit`; with `from_end`, a negative index counts from the end.
    With `of_lookup`, x is a lookup table.
    """
    position, row = here.index(index_object), find_operand_row(here, function, of_lookup, x)
    if from_end and position < 0:
        position += row.limit
    return here.append(row.result, row.signature, x.at, checked_index(row.limit, position))


@recording(2, key=2, indices=False, lookup_indices=True)
def indices(here: Here, function: Function, x: Item, indices_object: Item, of_lookup: bool):
    """Like `index`, for a list, tuple or array of indices. The key is the Dim of x and the number of indices."""

    def record(count, integer_at: Callable):
        row, new = find_operand_row(here, function, of_lookup, x, count), NewRecord(here, count + 2)
        new.write(row.signature, x.at)
        for k in range(count):
            new.write(integer_at(k, row.limit), begin=k + 2)
        return new.finish(row.result)

    return read_indices(here, indices_object, record)


@plain
def find_operand_row(here: Here, function: Function, of_lookup: bool, x: Item, *key) -> Row:
    """Return the row for the operand x (with `of_lookup`, a lookup table) and the other words of the key."""
    need(x.type == here.shared.lookup and here.is_valid(x) if of_lookup else here.is_operand(x))
    return find(function, x.dim, *key)


@recording(3, key=2)
def stretch(here: Here, function: Function, x: Item, begin: Item, end: Item, shorter_only=False):
    """Record an op on the slice `begin:end` of x. `begin` becomes an attribute. The key is the Dim of x and the length.

    The row's `limit` is the size of the first dimension. With `shorter_only`, a slice of this length is left to Python,
    because its result is x itself.
    """
    need(here.is_operand(x))
    start, stop = here.index(begin), here.index(end)
    length = stop - start
    need(start >= 0 and length > 0)
    row = find(function, x.dim, length)
    need(stop <= row.limit and (not shorter_only or length < row.limit))
    return here.append(row.result, row.signature, x.at, start)


@recording(1, key=words.LIST_KEY_SIZE)
def many(here: Here, function: Function, operand_list: Item):
    """Record an op on a list of expressions.

    The key is their number and Dims. For more than MOST_KEYED, it is minus their number, and the Dim, the same for all.
    """
    xs, key = here.items(operand_list), on_stack(words.LIST_KEY_SIZE)
    need(xs.size > 0)
    is_short = xs.size <= words.MOST_KEYED
    key[0] = xs.size if is_short else -xs.size
    hash_value = extended_hash(0, key[0])
    for k in range(xs.size):
        need(here.is_operand(xs[k]))
        if is_short or k == 0:
            key[k + 1] = xs[k].dim
            hash_value = extended_hash(hash_value, xs[k].dim)
        else:
            need(xs[k].dim == key[1])
    row = find_row_with_hash(function, key, xs.size + 1 if is_short else 2, words.LIST_KEY_SIZE, hash_value)
    variadic = row.limit  # 1 if the number of operands precedes them in the record, else 0
    new = NewRecord(here, xs.size + variadic + 1)
    new.write(row.signature, xs.size)
    for k in range(xs.size):
        new.write(xs[k].at, begin=variadic + k + 1)
    return new.finish(row.result)


def make_operator(name: str) -> None:
    """Make the C functions of an operator in `words.OPERATORS`: its fast path, and the call of its Python function."""

    @c_function(name, fallback=f"dynet_{name}_slowly")
    def fast_path(shared_words: Shared, a_address, b_address):
        a, b, here = Item(a_address), Item(b_address), graph_here(shared_words)
        pair, right, left = [Function(getattr(shared_words, f"{name}_{what}")) for what in ("pair", "right", "left")]
        if not here.is_expression(a):
            return with_number(here, left, b, a)
        if here.is_expression(b):
            return two(here, pair, a, b)
        return with_number(here, right, a, b, -1 if name == "subtract" else 1)  # x - c is recorded as x + (-c)

    @c_function(f"dynet_{name}_slowly")
    def call_slow_function(shared_words: Shared, a_address, b_address):
        return call_python(getattr(shared_words, f"{name}_slow"), a_address, b_address)


for name in words.OPERATORS:
    make_operator(name)


@c_function(fallback="dynet_negative_slowly")
def negative(shared_words: Shared, x_address):
    return one(graph_here(shared_words), Function(shared_words.negative), Item(x_address))


@c_function("dynet_negative_slowly")
def negative_slowly(shared_words: Shared, x_address):
    return call_python(Function(shared_words.negative).slow, x_address)


@c_function(fallback="dynet_subscript_slowly")
def subscript(shared_words: Shared, x_address, key_address):
    """The operator `x[key]` of `Expression` for an int, as in x[2], and for a slice of two ints, as in x[1:3]."""
    here, x, key = graph_here(shared_words), Item(x_address), Item(key_address)
    if key.type == shared_words.int:
        return index(here, Function(shared_words.item), x, key, False, True)  # no lookup table; -1 is the last item
    bounds = Slice(key_address)
    need(key.type == shared_words.slice and bounds.step == shared_words.none)
    return stretch(here, Function(shared_words.stretch), x, Item(bounds.first), Item(bounds.stop), True)  # shorter_only


@c_function("dynet_subscript_slowly")
def subscript_slowly(shared_words: Shared, x_address, key_address):
    return call_python(shared_words.subscript, x_address, key_address)
