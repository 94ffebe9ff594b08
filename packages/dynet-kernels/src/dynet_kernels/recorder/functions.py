"""All C functions of the recorder, by the names under which `compiled.addresses` returns them.

Functions whose names begin with `dynet_` are also called by other compiled functions.
"""

from __future__ import annotations

from . import (
    arrays,
    calls,
    inputs,
    memory,
    operations,
    passes,
    records,
    setting,
    sparse,
    tables,
    templates,
    types,
    words,
)
from .calls import called
from .extension import CFunction

FUNCTIONS: dict[str, CFunction] = {
    "value": called(passes.list_of_node(least=2), 1, 2),
    "list": called(passes.list_of_node(least=0), 1, 2),
    "nothing": called(passes.of_node(passes.read_nothing), 1, 2),
    "address": called(passes.of_node(passes.read_address), 1, 2),
    "floats": called(passes.of_node_into("float32"), 2),
    "doubles": called(passes.of_node_into("float64"), 2),
    "differentiate": called(passes.of_node(passes.differentiate, recalculates=False), 1, 2),
    "renew_quickly": called(memory.renew_quickly, 0, anywhere=True),
    "one": called(operations.one, 1),
    "two": called(operations.two, 2),
    "many": called(operations.many, 1),
    "number": called(operations.with_number, 2),
    "index": called(operations.with_index(), 2),
    "lookup": called(operations.with_index(of_lookup=True), 2),
    "indices": called(operations.with_indices(), 2),
    "lookup_indices": called(operations.with_indices(of_lookup=True), 2),
    "stretch": called(operations.stretch, 3),
    "scalar": called(arrays.scalar, 1),
    "vector": called(arrays.vector, 1),
    "array": called(arrays.array, 1, 2),
    "one_hot": called(sparse.one_hot, 2),
    "sparse": called(sparse.sparse, 3, 4, 5),
    "set": called(setting.set_values, 2),
    "template": called(templates.template),
    "key": called(templates.key),
    "replay": called(templates.replay, 4),
    "commit": called(records.commit, 5, anywhere=True),
    "handle": called(records.handle, 2, anywhere=True),
    "sequence": called(records.sequence, 5, anywhere=True),
    "take": called(inputs.taking_numbers(), 1, anywhere=True),
    "take_keyed": called(inputs.taking_numbers(before=1 + len(words.KEY)), 1, anywhere=True),
    **{name: CFunction(operations.operator(name), f"dynet_{name}_slowly") for name in words.OPERATORS},
    **{f"dynet_{name}_slowly": CFunction(operations.operator_slowly(name)) for name in words.OPERATORS},
    "negative": CFunction(operations.negative, "dynet_negative_slowly"),
    "dynet_negative_slowly": CFunction(operations.negative_slowly),
    "subscript": CFunction(operations.subscript, "dynet_subscript_slowly"),
    "dynet_subscript_slowly": CFunction(operations.subscript_slowly),
    **{
        path.__name__: CFunction(path)
        for path in (types.free, types.new, types.visit_nothing, types.become, types.bind)
    },
    **{
        path.__name__: CFunction(path)
        for path in (inputs.draw, inputs.write_inputs, inputs.take_inputs, memory.renew, memory.cut, tables.enter)
    },
    "dynet_renew_keys": CFunction(inputs.renew_keys),
    "dynet_compute": CFunction(passes.compute),
    "dynet_count_in_order": CFunction(calls.count_in_order),
    "dynet_slowly": CFunction(calls.slowly),
    "dynet_make_room": CFunction(memory.more_room("records", "length", "room", 8)),
    "dynet_make_input_room": CFunction(memory.more_room("inputs", "inputs_length", "inputs_room", 4)),
}
