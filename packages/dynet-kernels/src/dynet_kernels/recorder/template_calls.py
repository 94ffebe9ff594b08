"""Records ops whose bodies are Python functions, from templates: copies of the records of earlier calls.

The key of a call has everything its records depend on: the Dim of each expression argument, the value of each number,
flag or None, and the length and items of each list or tuple. Consecutive expressions with the same Dim in a list take
two words, however many there are. A call with other arguments has no key.

A function of the user's, decorated with `dy.function`, has other keys: numbers count only with their types, unless the
function's `pinned` says that it has asked for their values; any other object counts with its address; and the key says
which nodes are equal.
"""

from __future__ import annotations

from collections.abc import Callable

from ..formula import LARGEST_FLOAT
from ..plain import Rows, Words, bits_of, on_stack, plain
from . import words
from .buffers import put_random_key
from .c_api import NULL, call_or_fail, extern, fail, need, new_reference
from .calls import recording
from .here import Here, Item, Items, NewRecord
from .record_calls import integer_of
from .structures import Call, Function, Guard, List, Patch, Result, Template
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
ALL_PINNED = -1  # the `pinned` of ops
LAST_PIN = 62  # this bit of `pinned` is for all items from this number on


class Key:
    """The key of a call. Making it leaves the entry if the call has none.

    `words[0]` is a hash of the key, by which tables find it. The key follows: its number of words, counting this one,
    and the words for the arguments. For each argument of an op, `items` has the address of the word that points to it,
    or for a list or tuple, to its first item. For a function of the user's, it has the addresses of the words that
    point to the *items*, the nodes and numbers among the arguments and in lists; `count[0]` counts them.
    """

    def __init__(self, here: Here, arguments: Items, pinned=ALL_PINNED):
        self.here, self.pinned, self.count = here, pinned, on_stack(1)
        self.words, self.items = on_stack(1 + words.MOST_KEY_WORDS), on_stack(words.MOST_KEY_WORDS)
        self.words[1], self.count[0] = 1, 0
        self.add_arguments(arguments)
        self.add_repeated_nodes()
        self.size = self.words[1]
        self.words[0] = hash_of(self.words, 1, self.size) * 2 + 1  # odd, so never 0, which marks a free row

    @plain
    def add_arguments(self, arguments: Items) -> None:
        need(arguments.size <= words.MOST_KEY_WORDS)
        for k in range(arguments.size):
            items = self.here.one_or_all(arguments[k])
            if self.here.is_sequence(arguments[k]):
                self.add_size(arguments[k], items)
            if self.pinned == ALL_PINNED:
                self.items[k] = items.begin
            self.add_items(items, self.pinned != ALL_PINNED)

    @plain
    def add_size(self, x: Item, items: Items) -> None:
        """Add a word for a list or tuple. For functions of the user's, it also says which of these x is."""
        is_tuple = 1 if self.pinned != ALL_PINNED and x.type == self.here.shared.tuple else 0
        self.add((items.size * 2 + is_tuple) * 4 + SIZE)

    @plain
    def add_item(self, slot):
        """Note an item of a call of a user's function. Return whether a number there is part of the key."""
        count = self.count[0]
        if self.pinned != ALL_PINNED:
            need(count < words.MOST_KEY_WORDS)
            self.items[count] = slot
            self.count[0] = count + 1
        return (self.pinned >> min(count, LAST_PIN)) & 1

    @plain
    def add(self, word) -> None:
        size = self.words[1]
        need(size < words.MOST_KEY_WORDS)
        self.words[1 + size] = word
        self.words[1] = size + 1

    @plain
    def add_items(self, items: Items, with_nested: bool = False) -> None:
        last, repeated = 0, 0  # the previous item's Dim, or 0 if it has none; whether this Dim was repeated
        for k in range(items.size):
            x = items[k]
            dim_address = x.dim if self.here.is_operand(x) else NULL
            if dim_address != NULL and x.type == self.here.shared.expression:
                self.add_item(x.slot)
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
                elif with_nested and self.here.is_sequence(x):
                    nested = self.here.items(x)
                    self.add_size(x, nested)
                    self.add_items(nested)
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
            self.add(index * self.add_item(x.slot) * 4 + INT)
        elif x.address == shared.none or x.address == shared.true or x.address == shared.false:
            self.add(x.address + CONSTANT)
        elif kind == shared.float or (self.pinned != ALL_PINNED and self.here.is_number(x)):
            if kind != shared.float:
                self.add(kind + CONSTANT)
            self.add(FLOAT)
            if self.add_item(x.slot):
                self.add(bits_of(extern("PyFloat_AsDouble", x.address, returns="float64")))
        else:
            need(self.pinned != ALL_PINNED)
            self.add(x.address + CONSTANT)

    @plain
    def content_of(self, template: Template) -> Words:
        """Return what follows the key of a template. Leave the entry if the template is not for this call."""
        # Another key may have the same hash.
        need(are_equal(template.words, len(words.TEMPLATE), self.words, 1, self.size))
        content = Words(template.words.address + 8 * (self.size + len(words.TEMPLATE)))
        pairs_begin = template.length * 2 + template.inputs + template.random_keys
        for k in range(template.equal_pairs):
            need(self.operand(content[pairs_begin + 2 * k]).at == self.operand(content[pairs_begin + 2 * k + 1]).at)
        return content

    @plain
    def add_repeated_nodes(self) -> None:
        """Add a word for each node among the items of a call of a user's function that equals an earlier one."""
        count, previous, is_ascending = self.count[0], -1, 1  # an op's items are not counted
        for k in range(count):
            x = self.operand(k << words.ITEM_BITS)
            if x.type == self.here.shared.expression:
                if x.at <= previous:
                    is_ascending = 0
                previous = x.at
        if is_ascending == 0:
            for k in range(count):
                later = self.operand(k << words.ITEM_BITS)
                for j in range(k):
                    earlier = self.operand(j << words.ITEM_BITS)
                    are_nodes = earlier.type == later.type and later.type == self.here.shared.expression
                    if are_nodes and earlier.at == later.at:
                        self.add(SIZE - ((k << words.ITEM_BITS) + j) * 4)  # negative, unlike the word of a list
                        break

    @plain
    def operand(self, code) -> Item:
        """Return the argument that a template refers to as operand `code`; see `words.OPERAND`."""
        items = Items(self.items[code >> words.ITEM_BITS], 0)
        return items[code & ((1 << words.ITEM_BITS) - 1)]


@recording()
def template(here: Here, function: Function, arguments: Items):
    key = Key(here, arguments)
    row = find(function, key.words[0])
    header = Template(row.signature)
    content = key.content_of(header)
    if header.nodes == 0:  # the op returns one of its arguments
        return new_reference(key.operand(content[1]).address)

    def operand_number(code):
        return key.operand(code).at

    copy = Copy(here, header, content, operand_number)
    node = copy.new.finish(row.result, header.nodes)
    copy.add_random_keys()
    return node


@recording()
def call(here: Here, function: Function, arguments: Items):
    """Repeat a call of a function of the user's. Its results are one object or a tuple."""
    key = Key(here, arguments, function.pinned)
    kind = Call(find(function, key.words[0]).signature)
    header = Template(kind.template)
    content, lists = key.content_of(header), Words(kind.lists)
    need(hold(Rows(Guard, lists), kind.guards))
    need(here.graph.open == here.version)
    patches_begin = kind.guards * len(words.GUARD)
    results_begin = patches_begin + kind.patches * len(words.PATCH)

    def operand_number(code):
        return key.operand(code).at

    copy = Copy(here, header, content, operand_number)
    for k in range(kind.patches):
        copy.patch(Patch(lists, patches_begin + k * len(words.PATCH)), key)
    made_tuple = NULL
    if kind.single == 0:
        made_tuple = new_tuple(kind.results)
    returned = made_tuple
    for k in range(kind.results):
        result = Result(lists, results_begin + k * len(words.RESULT))
        x_address = result.value
        if result.kind == words.NODE:
            x_address = here.new_expression(result.value, result.dim, made_tuple)
        else:
            if result.kind == words.OPERAND:
                x_address = key.operand(result.value).address
            extern("Py_IncRef", x_address)
        if made_tuple == NULL:
            returned = x_address
        else:
            Words(made_tuple)[len(words.TUPLE) + k] = x_address
    copy.new.finish_counts(header.nodes)
    copy.add_random_keys()
    return returned


@plain
def new_tuple(size):
    """Return a new tuple, whose items are NULL. The garbage collector, which could run any code, does not run."""
    is_enabled = extern("PyGC_Disable", returns="int32")
    made_tuple = extern("PyTuple_New", size)
    if is_enabled != 0:
        extern("PyGC_Enable", returns="int32")
    if made_tuple == NULL:
        fail()
    return made_tuple


@plain
def hold(guards: Rows, count):
    """Return whether all guards hold. Each is checked only if those before it hold, so its owner exists."""
    result = 1
    for k in range(count):
        guard, found = guards[k], NULL
        if guard.kind == words.ATTRIBUTE:
            found = extern("PyObject_GetAttr", guard.owner, guard.name)
            if found == NULL:
                extern("PyErr_Clear")
            else:
                extern("Py_DecRef", found)
        elif guard.kind == words.DICT_ITEM:
            found = extern("PyDict_GetItem", guard.owner, guard.name)
        elif guard.kind == words.WORD:
            found = Words(guard.owner)[guard.name]
        else:
            found = Words(List(guard.owner).items)[guard.name]
        if found != guard.expected:
            result = 0
            break
    return result


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

    header = Template(start)

    def operand_number(index):
        return integer_of(here, items[index])

    copy = Copy(here, header, Words(start + 8 * len(words.TEMPLATE)), operand_number)
    node = copy.new.finish(dim.address, header.nodes)
    copy.add_random_keys()
    return node


class Copy:
    """A copy of the records and input values of a template, not yet part of the graph.

    `content` is what follows the key of the template. operand_number(k) returns the number to write for a pair
    (OPERAND, k).
    """

    @plain
    def __init__(self, here: Here, template: Template, content: Words, operand_number: Callable):
        length, inputs, graph = template.length, template.inputs, here.graph
        self.here, self.template, self.content = here, template, content
        self.new, offsets = NewRecord(here, length, inputs), on_stack(4)
        for k, value in enumerate((0, 0, graph.nodes, self.new.inputs_start)):  # what to add to a number of each kind
            offsets[k] = value
        for k in range(length):
            kind, integer = content[2 * k], content[2 * k + 1]
            self.new.write(operand_number(integer) if kind == words.OPERAND else integer + offsets[kind], begin=k)
        int32s = Words(graph.inputs, "int32")
        for k in range(inputs):
            int32s[self.new.inputs_start + k] = content[2 * length + k]

    @plain
    def add_random_keys(self) -> None:
        """Draw random keys: last, so that no key is linked if memory for the record has run out."""
        keys_begin = self.template.length * 2 + self.template.inputs
        for k in range(self.template.random_keys):
            put_random_key(self.here.shared, self.here.graph, self.new.inputs_start + self.content[keys_begin + k])

    @plain
    def patch(self, patch: Patch, key: Key) -> None:
        """Write a number of the call into the copy. Leave the entry if its value is not allowed."""
        x = key.operand(patch.item)
        if patch.role == words.IN_INPUTS:
            value = self.here.number(x)
            need(value <= LARGEST_FLOAT and value >= -LARGEST_FLOAT)
            if patch.change < 0:
                self.new.floats[self.new.inputs_start + patch.place] = -value
            else:
                self.new.floats[self.new.inputs_start + patch.place] = value
        else:
            index = self.here.index(x)
            need(index >= patch.least and index <= patch.most)
            if patch.role == words.IN_RECORD:
                self.new.write(index + patch.change, begin=patch.place)


@recording(key=0)
def key(here: Here, function: Function, arguments: Items):
    """key(*arguments) returns the key of a call of any op with these arguments, as bytes, or None if it has none.

    The first 8 bytes are the hash by which tables find the key.
    """
    call_key = Key(here, arguments)
    return extern("PyBytes_FromStringAndSize", call_key.words.address, (call_key.size + 1) * 8)


@recording(key=0)
def pinned_key(here: Here, function: Function, arguments: Items):
    """pinned_key(pinned, *arguments) returns the key of a call of a function whose word `pinned` is `pinned`."""
    need(arguments.size > 0)
    call_key = Key(here, Items(arguments.begin + 8, arguments.size - 1), here.index(arguments[0]))
    return extern("PyBytes_FromStringAndSize", call_key.words.address, (call_key.size + 1) * 8)
