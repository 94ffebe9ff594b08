"""Emits code that records an op from a *template*: a copy of the records of an earlier call with similar arguments.

Templates serve ops that are Python functions, which append records (operations as integers) to the graph. The *key* of
a call has all that its records depend on: the Dim (shape) of each expression among the arguments, the value of each
number, flag or None, and the length and items of each list or tuple. A call with other kinds of arguments has no key.
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
    Int,
    both,
    either,
    extern,
    fits,
    is_expression,
    is_index,
    is_sequence,
    items_of,
    taking,
)
from .recording import Recording, with_graph
from .structures import Expression, List, Object, Template, words_at, words_on_stack
from .tables import Found, mixed

# The lowest two bits of a word of a key say what the word is: an int, the address of a constant such as None, or the
# length of a list. The word for an expression is the address of its Dim, in which the lowest two bits are 0.
INT, CONSTANT, SIZE = 1, 2, 3
# A float is two words: this one, then its bits. No other word is equal to this one: it would be the constant at address
# 4, where no object is.
FLOAT = 6
LARGEST = 1 << 60  # a call with an int this large or larger has no key, because a word has only 62 bits for an int


class Key:
    """The key of a call, computed by emitted code.

    `words` are the words of the key: the first says how many are used, itself included; then follow those for the
    arguments; unused words are 0. `nodes` are the operand numbers of the expressions among the arguments, in order.
    `fine` is a variable of the emitted code: 0 if the call has no key, else 1.
    """

    def __init__(self, shared, version, call):
        self.words, self.nodes = (words_on_stack(words.TEMPLATE_KEY) for _ in range(2))
        self.size, self.expressions, self.fine = IntVariable(int64(1)), IntVariable(int64(0)), IntVariable(int64(1))
        with T.serial(int64(0), int64(words.TEMPLATE_KEY)) as place:
            T.buffer_store(self.words, int64(0), [place])
        with T.serial(int64(0), call.count()) as place:
            argument = let(words_at(call.arguments)[place])
            items_at, items = IntVariable(call.arguments + place * int64(8)), IntVariable(int64(1))
            with when(is_sequence(shared, argument)):
                size = let(List(argument).size)
                self._add(size * int64(4) + int64(SIZE))
                items_at.set(items_of(shared, argument))
                items.set(T.min(size, int64(words.TEMPLATE_KEY)))  # a call with a longer list has no key anyway
            with T.serial(int64(0), let(items.get())) as number:
                self._add_item(shared, version, let(words_at(let(items_at.get()))[number]))
        T.buffer_store(self.words, self.size.get(), [int64(0)])

    def _add(self, word):
        here = let(self.size.get())
        fits_in = let(here < int64(words.TEMPLATE_KEY))
        with when(fits_in):
            T.buffer_store(self.words, word, [here])
            self.size.set(here + int64(1))
        with when(T.Not(fits_in)):
            self.fine.set(int64(0))

    def _add_item(self, shared, version, item):
        known, kind = IntVariable(int64(0)), let(Object(item).type)
        x = Expression(item)
        with when(both(is_expression(shared, item), fits(x, version))):
            known.set(int64(1))
            self._add(x.dim)
            with when(self.fine.get() != int64(0)):
                T.buffer_store(self.nodes, x.at, [self.expressions.get()])
                self.expressions.set(self.expressions.get() + int64(1))
        with when(is_index(shared, item)):
            with when(kind != shared.int):  # add the type of a numpy integer to the key, because an op may refuse it
                self._add(kind + int64(CONSTANT))
            number = Int(item, shared)
            inside = T.And(number.value < int64(LARGEST), number.value > int64(-LARGEST))
            with when(T.And(number.fits.get() != int64(0), inside)):
                known.set(int64(1))
                self._add(number.value * int64(4) + int64(INT))
        with when(either(item == shared.none, item == shared.true, item == shared.false)):
            known.set(int64(1))
            self._add(item + int64(CONSTANT))
        with when(kind == shared.float):
            known.set(int64(1))
            self._add(int64(FLOAT))
            self._add(T.reinterpret("int64", T.call_extern("float64", "PyFloat_AsDouble", item)))
        with when(known.get() == int64(0)):
            self.fine.set(int64(0))

    def found(self, function):
        """Look up the key in the table of a recording function: `with key.found(function) as row`.

        The code of the `with` block runs only if the table has a row with this key.
        """
        value = IntVariable(int64(0))
        with T.serial(int64(0), int64(words.TEMPLATE_KEY)) as place:
            with when(T.Or(self.words[place] != int64(0), place == int64(0))):
                value.set(mixed(value.get(), self.words[place]))

        def same(row, known):
            with T.serial(int64(0), let(self.size.get())) as place:
                with when(row.key_word(place) != self.words[place]):
                    known.set(int64(0))

        return Found(function, words.TEMPLATE_KEY, let(self.size.get()), same, let(value.get()))


@taking()
@with_graph
def template(shared, graph, version, function, call, outcome):
    """Emit the fast path of an op with templates: if there is a template for the call's key, append its records."""
    key = Key(shared, version, call)
    with when(key.fine.get() != int64(0)):
        with key.found(function) as row:
            known = Template(row.signature)
            parts = words_at(let(row.signature + int64(8 * len(words.TEMPLATE))))
            length, inputs = let(known.length), let(known.inputs)
            with Recording(shared, outcome, graph, length, let(known.nodes), inputs) as new:
                first_node, first_input = let(graph.nodes), let(graph.inputs_length)
                with T.serial(int64(0), length) as place:
                    kind, number = let(parts[place * int64(2)]), IntVariable(parts[place * int64(2) + int64(1)])
                    with when(kind == int64(words.OPERAND)):
                        number.set(key.nodes[number.get()])
                    with when(kind == int64(words.NODE)):
                        number.set(number.get() + first_node)
                    with when(kind == int64(words.INPUT)):
                        number.set(number.get() + first_input)
                    new.write(place, number.get())
                raw = tir.buffer_at(graph.inputs, "int32")
                with T.serial(int64(0), inputs) as place:
                    bits = let(parts[length * int64(2) + place])
                    T.buffer_store(raw, T.Cast("int32", bits), [first_input + place])
                with T.serial(int64(0), known.keys) as place:
                    put_key(shared, graph, let(first_input + parts[length * int64(2) + inputs + place]))
                graph.inputs_length = first_input + inputs
                new.finish(row.result)


@taking()
@with_graph
def key(shared, graph, version, function, call, outcome):
    """Emit key(*arguments), which returns the key of a call with these arguments, as a bytes object.

    The key does not depend on the op that is called. If there is no key, the compiled function calls a Python function,
    which returns None.
    """
    found = Key(shared, version, call)
    with when(found.fine.get() != int64(0)):
        made = extern("PyBytes_FromStringAndSize", NULL, int64(8 * words.TEMPLATE_KEY))
        outcome.give(made)
        with when(made != int64(NULL)):
            target = words_at(extern("PyBytes_AsString", made))
            with T.serial(int64(0), int64(words.TEMPLATE_KEY)) as place:
                T.buffer_store(target, found.words[place], [place])
