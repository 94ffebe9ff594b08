"""Emits the fast paths of ops: compiled code that appends operations to the graph. Python functions do the rest.

An op with a fast path is a *recording function*: a callable object with a table. The fast path checks the operands of a
call and looks up their *key*, which is mostly their Dims (shapes), in this table. The row that it finds has the
signature, which says what to compute. Then the fast path writes a record: the signature, the operands, the attributes
(further integers, such as an index). If a check fails or the key is not in the table, the fast path does nothing, and a
Python function is called instead. A row also has a number called `limit`, whose meaning depends on the op.

Arguments of the emitters: `shared`, the shared words; `graph` and `version`, which `with_graph` supplies; `function`,
the recording function; `given`, the addresses of the op's arguments; and `outcome`, which takes the result.
Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from . import words
from .arrays import Indices
from .inputs import store_number
from .objects import (
    NULL,
    Flag,
    Outcome,
    both,
    index_of,
    is_below,
    is_expression,
    is_int,
    is_number,
    is_operand,
    is_sequence,
    items_of,
    not_,
)
from .recording import Recording, with_graph
from .structures import Expression, Function, List, Object, Shared, Slice, words_at
from .tables import find, found, mixed


def record_nodes(count):
    """Return what emits the fast path of an op on `count` expressions. The key is their Dims."""

    @with_graph
    def emit(shared, graph, version, function, given, outcome):
        operands = [given[place] for place in range(count)]
        with when(both(*[is_operand(shared, graph, version, x_at) for x_at in operands])):
            xs = [*map(Expression, operands)]
            with find(function, *[let(x.dim) for x in xs]) as row:
                with Recording(shared, outcome, graph, count + 1) as new:
                    new.finish(row.result, [row.signature, *[x.at for x in xs]])

    return emit


@with_graph
def record_number(shared, graph, version, function, given, outcome, sign=1):
    """Emit the fast path of an op on an expression and a number.

    The number, multiplied by `sign`, is stored in the graph's input buffer. Its offset there becomes an attribute of
    the record. The key is the Dim of the expression.
    """
    x_at, number_at = given[0], given[1]
    with when(both(is_operand(shared, graph, version, x_at), is_number(shared, number_at))):
        x = Expression(x_at)
        with find(function, let(x.dim)) as row, Recording(shared, outcome, graph, 3, inputs=1) as new:
            fine = Flag()
            store_number(new.floats, new.first, number_at, fine, sign)
            new.finish(row.result, [row.signature, x.at, new.first], fine)


def record_index(of_lookup=False, from_end=False):
    @with_graph
    def emit(shared, graph, version, function, given, outcome):
        """Emit the fast path of an op on an expression (or, with `of_lookup`, a lookup table) and an index.

        The index becomes an attribute. It must be at least 0 and below the row's `limit`. With `from_end`, a negative
        index counts from the end. The key is the Dim of the operand.
        """
        with when(is_operand(shared, graph, version, given[0], of_lookup)):
            x, index = Expression(given[0]), index_of(shared, given[1])
            with find(function, let(x.dim)) as row:
                if from_end:
                    index = let(T.if_then_else(index < int64(0), index + row.limit, index))
                with when(is_below(index, row.limit)), Recording(shared, outcome, graph, 3) as new:
                    new.finish(row.result, [row.signature, x.at, index])

    return emit


def record_indices(of_lookup=False):
    @with_graph
    def emit(shared, graph, version, function, given, outcome):
        """Emit the fast path of an op on an expression (or, with `of_lookup`, a lookup table) and several indices.

        These are a list, a tuple or an array of integers. They become attributes. They must be at least 0 and below the
        row's `limit`. The key is the Dim of the operand and the number of indices.
        """
        with when(is_operand(shared, graph, version, given[0], of_lookup)):
            x, indices = Expression(given[0]), Indices(shared, given[1])
            with find(function, let(x.dim), indices.size) as row:
                with Recording(shared, outcome, graph, indices.size + int64(2)) as new:
                    fine = Flag()
                    with T.serial(int64(0), indices.size) as place:
                        index = indices[place]
                        fine.require(is_below(index, row.limit))
                        new.write(place + int64(2), index)
                    new.finish(row.result, [row.signature, x.at], fine)

    return emit


@with_graph
def record_stretch(shared, graph, version, function, given, outcome, shorter=False):
    """Emit the fast path of an op that takes the slice `start:stop` of an expression; `start` becomes an attribute.

    The key is the Dim of the expression and the length of the slice. The row's `limit` is the size of the expression's
    first dimension.

    Args:
        shorter: whether the slice must be shorter than the first dimension. If it has the same length, the result is
            the expression itself, and the call is left to Python.
    """
    with when(is_operand(shared, graph, version, given[0])):
        x, start, stop = Expression(given[0]), index_of(shared, given[1]), index_of(shared, given[2])
        with when(T.And(start >= int64(0), stop > start)):
            length = let(stop - start)
            with find(function, let(x.dim), length) as row:
                inside = T.And(stop <= row.limit, length < row.limit) if shorter else stop <= row.limit
                with when(inside), Recording(shared, outcome, graph, 3) as new:
                    new.finish(row.result, [row.signature, x.at, start])


@with_graph
def record_list(shared, graph, version, function, given, outcome):
    """Emit the fast path of an op on a list of expressions.

    The key is their number and their Dims. If there are more than MOST_KEYED expressions, they must all have the same
    Dim, and the key is their number with a minus sign, and this Dim.
    """
    list_at = given[0]
    with when(is_sequence(shared, list_at)):
        size, items = let(List(list_at).size), words_at(items_of(shared, list_at))
        same_dims, fine = Flag(), Flag()
        value = IntVariable(mixed(int64(0), size))
        first_dim = IntVariable(int64(0))
        with T.serial(int64(0), size) as place:
            x_at = let(items[place])
            fine.require(is_operand(shared, graph, version, x_at))
            with when(fine.on):
                dim = let(Expression(x_at).dim)
                with when(place == int64(0)):
                    first_dim.set(dim)
                same_dims.require(first_dim.get() == dim)
                with when(size <= int64(words.MOST_KEYED)):
                    value.set(mixed(value.get(), dim))
        few = let(size <= int64(words.MOST_KEYED))
        keyed = both(fine.on, size > int64(0), T.Or(few, same_dims.on))
        with when(keyed):
            with when(not_(few)):
                value.set(mixed(mixed(int64(0), -size), first_dim.get()))
            first = let(T.if_then_else(few, size, -size))

            def same(row, known):
                with T.serial(int64(0), T.min(size, T.if_then_else(few, size, int64(1)))) as place:
                    known.require(row.key_word(place + int64(1)) == Expression(let(items[place])).dim)

            with found(function, words.LIST_KEY, first, same, let(value.get())) as row:
                variadic = let(row.limit)  # 1 if the number of operands comes before them in the record, else 0
                with Recording(shared, outcome, graph, size + variadic + int64(1)) as new:
                    new.write(1, size)
                    with T.serial(int64(0), size) as place:
                        new.write(variadic + place + int64(1), Expression(let(items[place])).at)
                    new.finish(row.result, [row.signature])


def operator(name):
    """Return what emits the C function of an operator of `Expression`.

    It has fast paths for two expressions, and for an expression and a number. All other operands are left to Python.

    Args:
        name: the operator, one of `words.OPERATORS`, such as "add".
    """

    def emit(shared_at, a, b, out):
        shared, outcome = Shared(shared_at), Outcome(out)
        pair, right, left, slow = (let(getattr(shared, f"{name}_{what}")) for what in words.OPERATOR)
        with when(slow == int64(NULL)):
            outcome.give_known(shared.not_implemented)
        with when(slow != int64(NULL)):
            a_is, b_is = let(is_expression(shared, a)), let(is_expression(shared, b))
            with when(T.And(a_is, b_is)):
                record_nodes(2)(shared, Function(pair), [a, b], outcome)
            with when(T.And(a_is, not_(b_is))):
                sign = -1 if name == "subtract" else 1  # x - c is recorded as x + (-c)
                record_number(shared, Function(right), [a, b], outcome, sign)
            with when(T.And(b_is, not_(a_is))):
                record_number(shared, Function(left), [b, a], outcome)
            outcome.call_otherwise(slow, a, b)

    return emit


def negative(shared_at, x_at, out):
    """Emit the C function of the operator `-x` of `Expression`."""
    shared, outcome = Shared(shared_at), Outcome(out)
    function = Function(let(shared.negative))
    with when(function.address != int64(NULL)):
        record_nodes(1)(shared, function, [x_at], outcome)
        outcome.call_otherwise(function.slow, x_at)


def subscript(shared_at, x_at, key_at, out):
    """Emit the C function of the operator `x[key]` of `Expression`.

    It has fast paths for an int, as in x[2], and for a slice of two ints, as in x[1:3]. All other keys are left to
    Python.
    """
    shared, outcome = Shared(shared_at), Outcome(out)
    with when(shared.subscript != int64(NULL)):
        with when(is_int(shared, key_at)):
            record_index(from_end=True)(shared, Function(let(shared.item)), [x_at, key_at], outcome)
        with when(Object(key_at).type == shared.slice):
            key = Slice(key_at)
            with when(key.step == shared.none):
                given = [x_at, let(key.start), let(key.stop)]
                record_stretch(shared, Function(let(shared.stretch)), given, outcome, True)
        outcome.call_otherwise(shared.subscript, x_at, key_at)
