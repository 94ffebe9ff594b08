"""Lists all functions of the compiled recorder: FUNCTIONS is a dict from their names to what emits their bodies.

By its name, Python code finds the address of a compiled function. The module `extension` compiles them.
Functions whose names begin with `dynet_` are also called by other compiled functions.
"""

from __future__ import annotations

from . import words
from .arrays import record_array, record_numbers
from .inputs import draw, renew_keys, take_inputs, take_numbers, write_inputs
from .memory import cut, more_room, renew, renew_quickly
from .objects import count_in_order, taking
from .operations import (
    negative,
    operator,
    record_index,
    record_indices,
    record_list,
    record_nodes,
    record_number,
    record_stretch,
    subscript,
)
from .passes import compute, differentiate, of_node, read_address, read_into, read_nothing, read_value
from .records import commit, handle, sequence
from .setting import set_values
from .sparse import record_one_hot, record_sparse
from .tables import enter
from .templates import key, replay, template
from .types import become, bind, free, new, visit_nothing

FUNCTIONS = {
    "value": of_node(read_value, makes_list=True),
    "list": of_node(read_value, makes_list="always"),
    "nothing": of_node(read_nothing),
    "address": of_node(read_address),
    "floats": of_node(read_into("float32"), recalculates=False, takes_array=True),
    "doubles": of_node(read_into("float64"), recalculates=False, takes_array=True),
    "differentiate": of_node(differentiate, recalculates=False),
    "renew_quickly": renew_quickly,
    "one": taking(1)(record_nodes(1)),
    "two": taking(2)(record_nodes(2)),
    "many": taking(1)(record_list),
    "number": taking(2)(record_number),
    "index": taking(2)(record_index()),
    "lookup": taking(2)(record_index(of_lookup=True)),
    "indices": taking(2)(record_indices()),
    "lookup_indices": taking(2)(record_indices(of_lookup=True)),
    "stretch": taking(3)(record_stretch),
    "scalar": record_numbers(0),
    "vector": record_numbers(1),
    "array": record_array,
    "one_hot": record_one_hot,
    "sparse": record_sparse,
    "set": set_values,
    "template": template,
    "key": key,
    "replay": replay,
    "commit": commit,
    "handle": handle,
    "sequence": sequence,
    "take": take_numbers(),
    "take_keyed": take_numbers(before=1 + len(words.KEY)),
    **{name: operator(name) for name in words.OPERATORS},
    **{emit.__name__: emit for emit in (negative, subscript, free, new, visit_nothing, become, bind)},
    **{emit.__name__: emit for emit in (draw, renew, cut, write_inputs, take_inputs, enter)},
    **{f"dynet_{emit.__name__}": emit for emit in (renew_keys, compute, count_in_order)},
    "dynet_make_room": more_room("records", "length", "room", 8),
    "dynet_make_input_room": more_room("inputs", "inputs_length", "inputs_room", 4),
}
