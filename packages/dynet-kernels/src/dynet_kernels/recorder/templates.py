"""Emits code that records an op from a *template*: a copy of the records of an earlier call with similar arguments.

Templates serve ops that are Python functions, which append records (operations as integers) to the graph. The *key* of
a call has all that its records depend on: the Dim (shape) of each expression among the arguments, the value of each
number, flag or None, and the length and items of each list or tuple. Expressions with the same Dim that follow one
another in a list take two words, however many they are. A call with other kinds of arguments has no key.
If the op's table has a template for the key, the records of the template are appended, with the operands of this call
and with new nodes and inputs. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from .. import tir
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from . import words
from .inputs import put_key
from .objects import (
    NULL,
    Flag,
    behind,
    both,
    either,
    extern,
    index_of,
    is_index,
    is_int,
    is_operand,
    is_sequence,
    items_of,
    not_,
    taking,
)
from .recording import Recording, with_graph
from .records import check_numbers, number_of
from .structures import Expression, List, Object, Template, Tuple, words_at, words_on_stack
from .tables import found, mixed

# The lowest two bits of a word of a key say what the word is: an int, the address of a constant such as None, or the
# length of a list. The word for an expression is the address of its Dim, in which the lowest two bits are 0.
INT, CONSTANT, SIZE = 1, 2, 3
# A float is two words: this one, then its bits. No other word is equal to this one: it would be the constant at address
# 4, where no object is.
FLOAT = 6
# The word after the Dim of several expressions in a list: REPEATED times how many follow the first one, plus FLOAT. No
# constant has this word, because the addresses of objects are multiples of 8.
REPEATED = 8
LARGEST = 1 << 60  # a call with an int this large or larger has no key, because a word has only 62 bits for an int


class Key:
    """The key of a call, computed by emitted code.

    `words` are the words of the key: the first says how many are used, itself included; then follow those for the
    arguments. `fine` is a variable of the emitted code: 0 if the call has no key, else 1. `items` has for each argument
    the address of its items if it is a list, else the address of the argument itself.
    """

    def __init__(self, shared, graph, version, call):
        self.words, self.items = (words_on_stack(words.TEMPLATE_KEY) for _ in range(2))
        self.size, self.fine = IntVariable(int64(1)), Flag()
        # The Dim of the item before, if it is an expression in the same list, else 0; and how often it is repeated.
        self._dim, self._repeated = IntVariable(int64(0)), IntVariable(int64(0))
        # A call with more arguments than the key may have words has no key anyway.
        with T.serial(int64(0), let(T.min(call.count(), int64(words.TEMPLATE_KEY)))) as place:
            argument = let(words_at(call.arguments)[place])
            items_at, items = IntVariable(call.arguments + place * int64(8)), IntVariable(int64(1))
            with when(is_sequence(shared, argument)):
                size = let(List(argument).size)
                self._add(size * int64(4) + int64(SIZE))
                items_at.set(items_of(shared, argument))
                items.set(size)
            T.buffer_store(self.items, items_at.get(), [place])
            self._dim.set(int64(0))
            number = IntVariable(int64(0))
            with T.While(T.And(number.get() < items.get(), self.fine.on)):
                self._add_item(shared, graph, version, let(words_at(let(items_at.get()))[number.get()]))
                number.set(number.get() + int64(1))
            self._end_repetition()
        T.buffer_store(self.words, self.size.get(), [int64(0)])

    def _add(self, word):
        here = let(self.size.get())
        fits_in = let(here < int64(words.TEMPLATE_KEY))
        with when(fits_in):
            T.buffer_store(self.words, word, [here])
            self.size.set(here + int64(1))
        self.fine.require(fits_in)

    def _end_repetition(self):
        """Emit code that adds a word for the items that have had the same Dim as the one before, if there are any."""
        with when(self._repeated.get() != int64(0)):
            self._add(self._repeated.get() * int64(REPEATED) + int64(FLOAT))
            self._repeated.set(int64(0))

    def _add_item(self, shared, graph, version, item):
        x = Expression(item)
        node = let(is_operand(shared, graph, version, item))
        dim = let(T.if_then_else(node, x.dim, int64(NULL)))
        same = let(both(node, dim == self._dim.get()))
        with when(same):
            self._repeated.set(self._repeated.get() + int64(1))
        with when(not_(same)):
            self._end_repetition()
            self._dim.set(dim)
            tir.choose(node, lambda: self._add(dim), lambda: self._add_other(shared, item))

    def _add_other(self, shared, item):
        """Emit code that adds an item that is no expression."""
        known, kind = Flag(0), let(Object(item).type)
        with when(is_index(shared, item)):
            with when(kind != shared.int):  # add the type of a numpy integer to the key, because an op may refuse it
                self._add(kind + int64(CONSTANT))
            number = index_of(shared, item)
            with when(T.And(number < int64(LARGEST), number > int64(-LARGEST))):
                known.set(int64(1))
                self._add(number * int64(4) + int64(INT))
        with when(either(item == shared.none, item == shared.true, item == shared.false)):
            known.set(int64(1))
            self._add(item + int64(CONSTANT))
        with when(kind == shared.float):
            known.set(int64(1))
            self._add(int64(FLOAT))
            self._add(T.reinterpret("int64", T.call_extern("float64", "PyFloat_AsDouble", item)))
        self.fine.require(known.on)

    def operand(self, number):
        """Emit a load of the address of an expression among the arguments.

        Args:
            number: which expression, as a template says it; see `words.OPERAND`.
        """
        number = let(number)
        items = let(self.items[T.shift_right(number, int64(words.ITEM_BITS))])
        return let(words_at(items)[T.bitwise_and(number, int64((1 << words.ITEM_BITS) - 1))])

    def hashed(self):
        """Emit the computation of a word that stands for the key in the table of a recording function."""
        value = IntVariable(int64(0))
        with T.serial(int64(0), let(self.size.get())) as place:
            value.set(mixed(value.get(), self.words[place]))
        return let(value.get() * int64(2) + int64(1))  # not 0, as a free row has

    def found(self, function):
        """Look up the key in the table of a recording function: `with key.found(function) as row`.

        The code of the `with` block runs only if the table has a template with this key.
        """
        word = self.hashed()

        def same(row, known):
            other = words_at(let(row.signature + int64(8 * len(words.TEMPLATE))))
            with T.serial(int64(0), let(self.size.get())) as place:
                known.require(other[place] == self.words[place])

        return found(function, 1, word, same, mixed(int64(0), word))


@taking()
@with_graph
def template(shared, graph, version, function, call, outcome):
    """Emit the fast path of an op with templates: if there is a template for the call's key, append its records."""
    key = Key(shared, graph, version, call)
    with when(key.fine.get() != int64(0)):
        with key.found(function) as row:
            known, usable = Template(row.signature), Flag()
            parts = words_at(let(row.signature + (key.size.get() + int64(len(words.TEMPLATE))) * int64(8)))
            equal = let(known.length * int64(2) + known.inputs + known.keys)
            with T.serial(int64(0), known.equal) as place:
                pair = [key.operand(parts[equal + place * int64(2) + int64(k)]) for k in range(2)]
                usable.require(Expression(pair[0]).at == Expression(pair[1]).at)
            with when(usable.on):
                with when(known.nodes == int64(0)):
                    outcome.give_known(key.operand(parts[int64(1)]))
                with when(known.nodes != int64(0)):
                    append(shared, graph, outcome, known, parts, lambda k: Expression(key.operand(k)).at, row.result)


@taking(4)
@with_graph
def replay(shared, graph, version, function, call, outcome):
    """Emit replay(dim, template, operands, version), which appends the records of a template to this thread's graph.

    The template is a bytes object. It has no key, and operand k is item k of the tuple `operands`: an expression or the
    number of a node. `replay` returns the expression of the last node, which has the shape `dim`. It returns None if
    the graph has another version than `version`, if Python has to see each new node, or if an item is neither an int
    nor an expression that fits the graph. The caller has to know that the template is for such operands.
    """
    dim, template_at, operands_at = (call[place] for place in range(3))
    with when(both(Object(operands_at).type == shared.tuple, is_int(shared, call[3]))):
        items, fine = words_at(behind(operands_at)), Flag()
        fine.require(index_of(shared, call[3]) == version)
        check_numbers(shared, graph, version, items, let(Tuple(operands_at).size), fine)
        with when(fine.on):
            start = extern("PyBytes_AsString", template_at)
            with when(start == int64(NULL)):
                outcome.give(int64(NULL))
            with when(start != int64(NULL)):
                parts = words_at(let(start + int64(8 * len(words.TEMPLATE))))

                def operand(place):
                    return number_of(shared, let(items[place]))

                append(shared, graph, outcome, Template(start), parts, operand, dim)


def append(shared, graph, outcome, known, parts, operand, result):
    """Emit code that appends the records of a template.

    Args:
        known: the words of the template.
        parts: what follows these words and the template's key in memory, as a buffer of words.
        operand: emits the number of an operand's node; called with the number by which the template refers to it.
        result: the address of the Dim of the last node.
    """
    length, inputs = let(known.length), let(known.inputs)
    with Recording(shared, outcome, graph, length, let(known.nodes), inputs) as new:
        first_node, first_input = let(graph.nodes), new.first
        begin = words_on_stack(4)  # for each kind, what to add to the number
        for kind, value in {
            words.LITERAL: 0,
            words.OPERAND: 0,
            words.NODE: first_node,
            words.INPUT: first_input,
        }.items():
            T.buffer_store(begin, int64(value), [int64(kind)])
        with T.serial(int64(0), length) as place:
            kind, number = let(parts[place * int64(2)]), let(parts[place * int64(2) + int64(1)])
            value = IntVariable(number + begin[kind])
            with when(kind == int64(words.OPERAND)):
                value.set(operand(number))
            new.write(place, value.get())
        raw = tir.buffer_at(graph.inputs, "int32")
        with T.serial(int64(0), inputs) as place:
            bits = let(parts[length * int64(2) + place])
            T.buffer_store(raw, T.Cast("int32", bits), [first_input + place])
        with T.serial(int64(0), known.keys) as place:
            put_key(shared, graph, let(first_input + parts[length * int64(2) + inputs + place]))
        new.finish(result)


@taking()
@with_graph
def key(shared, graph, version, function, call, outcome):
    """Emit key(*arguments), which returns the key of a call with these arguments, as a bytes object.

    The first 8 bytes are the word for the key in tables. The key does not depend on the op that is called. If there is
    no key, the compiled function calls a Python function, which returns None.
    """
    found = Key(shared, graph, version, call)
    with when(found.fine.get() != int64(0)):
        size = let(found.size.get())
        made = extern("PyBytes_FromStringAndSize", NULL, (size + int64(1)) * int64(8))
        outcome.give(made)
        with when(made != int64(NULL)):
            target = words_at(extern("PyBytes_AsString", made))
            T.buffer_store(target, found.hashed(), [int64(0)])
            with T.serial(int64(0), size) as place:
                T.buffer_store(target, found.words[place], [place + int64(1)])
