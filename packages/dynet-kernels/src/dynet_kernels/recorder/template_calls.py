"""Records ops whose bodies are Python functions, from templates: copies of the records of earlier calls.

The key of a call has everything its records depend on: the Dim of each expression argument, the value of each number,
flag or None, and the length and items of each list or tuple. Consecutive expressions with the same Dim in a list take
two words, however many there are. A call with other arguments has no key.
"""

from __future__ import annotations

from collections.abc import Callable

from ..plain import Words, bits_of, on_stack, plain
from . import words
from .buffers import put_random_key
from .c_api import NULL, call_or_fail, extern, need, new_reference
from .calls import recording
from .here import Here, Item, Items, NewRecord
from .record_calls import integer_of
from .structures import Expression, Function, Template
from .tables import are_equal, find, hash_of

# The lowest two bits of a word of a key tell its kind: an int, the address of a constant such as None, or a list's
# length. They are 0 in the word for an expression, which is the address of its Dim.
INT, CONSTANT, SIZE = 1, 2, 3
# A float takes two words: this word, then its bits. No constant has this word, 4 + CONSTANT: no object is at address 4.
FLOAT = 6
# For n consecutive expressions with the same Dim, the word after the Dim is (n - 1) * REPEAT + FLOAT. No constant has
# this word, because the addresses of objects are multiples of 8.
REPEAT = 8
INT_LIMIT = 1 << 60  # a call with an int of at least this magnitude has no key: a word has only 62 bits for an int


class Key:
    """The key of a call. Making it leaves the entry if the call has none.

    `words[0]` is a hash of the key, by which tables find it. The key follows: its number of words, counting this one,
    and the words for the arguments. For each argument, `items` has the address of the word that points to it, or for a
    list or tuple, to its first item.
    """

    def __init__(self, here: Here, arguments: Items):
        self.here, self.words, self.items = here, on_stack(1 + words.MOST_KEY_WORDS), on_stack(words.MOST_KEY_WORDS)
        self.words[1] = 1
        self.add_arguments(arguments)
        self.size = self.words[1]
        self.words[0] = hash_of(self.words, 1, self.size) * 2 + 1  # odd, so never 0, which marks a free row

    @plain
    def add_arguments(self, arguments: Items) -> None:
        need(arguments.size <= words.MOST_KEY_WORDS)
        for k in range(arguments.size):
            items = self.here.one_or_all(arguments[k])
            if self.here.is_sequence(arguments[k]):
                self.add(items.size * 4 + SIZE)
            self.items[k] = items.begin
            self.add_items(items)

    @plain
    def add(self, word) -> None:
        size = self.words[1]
        need(size < words.MOST_KEY_WORDS)
        self.words[1 + size] = word
        self.words[1] = size + 1

    @plain
    def add_items(self, items: Items) -> None:
        last, repeated = 0, 0  # the previous item's Dim, or 0 if it has none; whether this Dim was repeated
        for k in range(items.size):
            x = items[k]
            dim_address = x.dim if self.here.is_operand(x) else NULL
            if dim_address != NULL and dim_address == last:
                if repeated == 0:
                    self.add(FLOAT)
                repeated = 1
                self.words[self.words[1]] += REPEAT  # the key's newest word
            else:
                repeated = 0
                last = dim_address
                if dim_address != NULL:
                    self.add(dim_address)
                else:
                    self.add_non_expression(x)

    @plain
    def add_non_expression(self, x: Item) -> None:
        shared, kind = self.here.shared, x.type
        if self.here.is_index(x):
            if kind != shared.int:  # the key has the type of a numpy integer, because an op may refuse it
                self.add(kind + CONSTANT)
            index = self.here.index(x)
            need(index < INT_LIMIT and index > -INT_LIMIT)
            self.add(index * 4 + INT)
        elif x.address == shared.none or x.address == shared.true or x.address == shared.false:
            self.add(x.address + CONSTANT)
        else:
            need(kind == shared.float)
            self.add(FLOAT)
            self.add(bits_of(extern("PyFloat_AsDouble", x.address, returns="float64")))

    @plain
    def operand(self, code) -> Expression:
        """Return the argument that a template refers to as operand `code`; see `words.OPERAND`."""
        items = Items(self.items[code >> words.ITEM_BITS], 0)
        return items[code & ((1 << words.ITEM_BITS) - 1)]


@recording()
def template(here: Here, function: Function, arguments: Items):
    key = Key(here, arguments)
    row = find(function, key.words[0])
    header = Template(row.signature)
    need(are_equal(header.words, len(words.TEMPLATE), key.words, 1, key.size))  # another key may have the same hash
    content = Words(row.signature + 8 * (key.size + len(words.TEMPLATE)))
    pairs_begin = header.length * 2 + header.inputs + header.random_keys
    for k in range(header.equal_pairs):
        need(key.operand(content[pairs_begin + 2 * k]).at == key.operand(content[pairs_begin + 2 * k + 1]).at)
    if header.nodes == 0:  # the op returns one of its arguments
        return new_reference(key.operand(content[1]).address)

    def operand_number(code):
        return key.operand(code).at

    return append(here, header, content, operand_number, row.result)


@recording(4, key=0)
def replay(here: Here, function: Function, dim: Item, template: Item, operands: Item, version: Item):
    """replay(dim, template, operands, version) appends the records of a template to this thread's graph.

    The template is a bytes object without a key; the caller must know that it fits these operands. Operand k is item k
    of the tuple `operands`, an expression or the number of a node. `replay` returns the expression of the last node,
    which has the shape `dim`. It returns None if the graph's version is not `version`, if Python has to see each new
    node, or if an item is neither an int nor an expression valid in the graph.
    """
    need(operands.type == here.shared.tuple and version.type == here.shared.int and here.index(version) == here.version)
    items = here.items(operands)
    start = call_or_fail("PyBytes_AsString", template.address)

    def operand_number(index):
        return integer_of(here, items[index])

    return append(here, Template(start), Words(start + 8 * len(words.TEMPLATE)), operand_number, dim.address)


@plain
def append(here: Here, header: Template, content: Words, operand_number: Callable, dim_address):
    """Append the records of a template. `header` is its first words, and `content` is what follows its key.

    operand_number(k) returns the number to write for a pair (OPERAND, k). The last node's Dim is at `dim_address`.
    """
    length, inputs, graph = header.length, header.inputs, here.graph
    new, offsets = NewRecord(here, length, inputs), on_stack(4)
    for k, value in enumerate((0, 0, graph.nodes, new.inputs_start)):  # the offset to add to a number of each kind
        offsets[k] = value
    for k in range(length):
        kind, integer = content[2 * k], content[2 * k + 1]
        new.write(operand_number(integer) if kind == words.OPERAND else integer + offsets[kind], begin=k)
    int32s = Words(graph.inputs, "int32")
    for k in range(inputs):
        int32s[new.inputs_start + k] = content[2 * length + k]
    node = new.finish(dim_address, header.nodes)
    for k in range(header.random_keys):  # last, so that no key is linked if memory for the record has run out
        put_random_key(here.shared, graph, new.inputs_start + content[2 * length + inputs + k])
    return node


@recording(key=0)
def key(here: Here, function: Function, arguments: Items):
    """key(*arguments) returns the key of a call of any op with these arguments, as bytes, or None if it has none.

    The first 8 bytes are the hash by which tables find the key.
    """
    call_key = Key(here, arguments)
    return extern("PyBytes_FromStringAndSize", call_key.words.address, (call_key.size + 1) * 8)
