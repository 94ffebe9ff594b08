"""The recorder's templates give the same results in plain Python as when compiled.

See `uncompiled` for the comparison.
"""

import itertools
import sys
import weakref

import numpy as np
import pytest
import uncompiled
from hypothesis import given, settings
from hypothesis import strategies as st
from uncompiled import kind_of, known, left, of, same
from uncompiled_arguments import NO_NUMBERS, Listed, Real, Whole, graph_with_past, no_operands

import dynet_core as dynet
import dynet_ops as dy
from dynet_core import recorder
from dynet_core.graph import current

# Templates


def template_arguments(nodes):
    """Arguments of calls, with and without keys."""
    atoms = st.one_of(
        st.sampled_from([*nodes, None, True, False]),
        st.integers(-3, 3),
        st.sampled_from([1 << 59, 1 << 60, -(1 << 60) + 1, -(1 << 60), 1 << 63, 1 << 200, np.int64(5), np.int32(-5)]),
        st.floats(),
        st.sampled_from([*NO_NUMBERS[:1], "x", Whole(2), np.float32(1), 1j, Real(2.0)]),
    )
    listed = st.lists(atoms, max_size=4)
    runs = st.builds(lambda x, count: [x] * count, st.sampled_from(nodes), st.integers(0, 70))
    return st.lists(st.one_of(atoms, listed, listed.map(tuple), listed.map(Listed), runs), max_size=5)


@of("key")
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_keys_of_templates(model, data):
    nodes, gone = graph_with_past()
    arguments = data.draw(template_arguments([*nodes, model[1], model[3], gone[0]]))
    result = same(recorder.call_key, *arguments)
    assert type(result) is bytes or isinstance(result, uncompiled.Declined)


def test_keys_that_are_too_long():
    x = dy.inputVector([1.0, 2.0])
    assert type(same(recorder.call_key, *[None] * 250)) is type(same(recorder.call_key, *range(255))) is bytes
    left(recorder.call_key, *range(256))
    left(recorder.call_key, *[None] * 257)
    left(recorder.call_key, list(range(256)))
    assert type(same(recorder.call_key, [x] * 10_000)) is bytes


@of("template")
def test_templates(model):
    nodes, gone = graph_with_past()
    matrix = dy.inputTensor(np.ones((4, 3)))
    for op, arguments in (
        (dy.softmax, (nodes[0],)), (dy.softmax, (matrix, 1)), (dy.reshape, (matrix, (12,))), (dy.transpose, (matrix,)),
        (dy.sum_dim, (matrix, [0], False)), (dy.emax, ([*nodes, nodes[0]],)), (dy.emax, ([nodes[0]],)),
        (dy.dropout, (nodes[0], 0.5)), (dy.noise, (nodes[0], 0.25)), (dy.random_normal, ((3, 2),)),
        (dy.layer_norm, (nodes[0], nodes[1], model[1])), (dy.emax, (nodes * 12,)),
    ):  # fmt: skip
        assert kind_of(op) == "template"
        known(op, *arguments)
    known(dy.softmax, nodes[1], d=0)
    known(dy.layer_norm, nodes[0], nodes[0], nodes[0])
    same(dy.layer_norm, nodes[0], nodes[1], nodes[0])  # a template for equal operands does not fit others
    for x in no_operands(gone, model[3]):
        left(dy.softmax, x)
    left(dy.softmax, nodes[0], 1 << 60)
    left(dy.softmax)


@of("replay")
def test_replay(model):
    nodes, gone = graph_with_past()
    dim, version = nodes[0].type, current().records.version
    literal, operand, node, given = 0, 1, 2, 3
    half = int(np.array([0.5, 1.5], np.float32).view(np.int32)[0])
    # two nodes: (7, operand 0), (8, node 0, operand 1, input 0); one input; one key of three int32 at inputs 1 to 3
    integers = [(literal, 7), (operand, 0), (literal, 8), (node, 0), (operand, 1), (given, 0)]
    numbers = [len(integers), 2, 4, 1, 0, *itertools.chain(*integers), half, 0, 0, 0, 2]
    template = np.array(numbers, np.int64).tobytes()
    for operands in ((nodes[0], nodes[1]), (0, model[1]), (-1, 3), (nodes[0], nodes[0], 9)):
        result = same(recorder.replay, dim, template, operands, version)
        assert result.type is dim
        assert current().records.integers()[-2] == (operands[1] if type(operands[1]) is int else operands[1].at)
    for operands in ([nodes[0], nodes[1]], (nodes[0], None), (nodes[0], gone[0]), (nodes[0], model[3]), (1.0, 2), None):
        left(recorder.replay, dim, template, operands, version)
    for other in (version - 1, version + 1, 1 << 70, float(version), None):
        left(recorder.replay, dim, template, (nodes[0], nodes[1]), other)
    with pytest.raises(TypeError, match="bytes"):
        same(recorder.replay, dim, "text", (nodes[0], nodes[1]), version)
    left(recorder.replay, dim, template, (nodes[0], nodes[1]))


# Calls of users' functions


@of("pinned_key")
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_keys_of_users_functions(model, data):
    nodes, gone = graph_with_past()
    arguments = data.draw(template_arguments([*nodes, model[1], model[3], gone[0]]))
    pins = data.draw(st.sampled_from([0, 1, 2, 5, 1 << 62, (1 << 63) - 1]))
    result = same(recorder.pinned_key, pins, *arguments)
    assert type(result) is bytes or isinstance(result, uncompiled.Declined)
    left(recorder.pinned_key)


class Scaled:
    def __init__(self):
        self.factor, self.parts = 2.0, [1.0, 2.0]


scaled, table = Scaled(), {"factor": 3.0}


@of("call")
def test_calls_of_users_functions(model):
    @dynet.function
    def one(x, c, i):
        return dy.dropout(x, 0.5) * c * scaled.factor * table["factor"] + x[i]

    @dynet.function
    def several(x, ys, more):
        return dy.tanh(x) * scaled.parts[1], x, dy.esum(list(ys)), more, more + 1

    @dynet.function
    def pair(a, b):
        return a + b, b

    def calls(x, y):
        for c in (0.5, 2, np.float32(0.25), np.int64(3)):
            yield from ((one, x, c, 0), (one, y, c, 1))
        yield from ((several, x, [y, x], 7), (several, x, (y, y), 8.5), (several, x, (y, x), 1), (pair, x, x))

    dynet.renew_cg()  # after a checkpoint, functions are only repeated
    x, y = dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])
    for record, *arguments in [*calls(x, y)] * uncompiled.CALLS_TO_LEARN:
        record(*arguments)
    nodes, gone = graph_with_past()
    for record, *arguments in calls(*nodes[:2]):
        assert not isinstance(same(record, *arguments), uncompiled.Declined), (record, arguments)
    left(pair, *nodes[:2])
    for arguments in (
        (nodes[0], 0.5, 5),
        (nodes[0], 0.5, -1),
        (nodes[0], float("nan"), 0),
        (nodes[0], 1e39, 0),
        (nodes[0], 1 << 60, 0),
    ):
        left(one, *arguments)
    for x in no_operands(gone, model[3]):
        left(one, x, 0.5, 0)
    for change, back in (
        (lambda: setattr(scaled, "factor", 5.0), lambda: setattr(scaled, "factor", 2.0)),
        (lambda: table.update(factor=5.0), lambda: table.update(factor=3.0)),
        (lambda: table.update(more=5.0), lambda: table.pop("more")),
        (lambda: vars(scaled).pop("factor"), lambda: setattr(scaled, "factor", 2.0)),
    ):
        change()
        left(one, nodes[0], 0.5, 0)
        back()
    scaled.parts[1] = 4.0
    left(several, nodes[0], [nodes[1], nodes[0]], 7)


def test_functions_of_users_are_freed():
    deleted = []
    function = recorder.call_function(uncompiled.declined, uncompiled.declined)
    reference = weakref.ref(function, deleted.append)
    references = sys.getrefcount(recorder.FUNCTION_TYPE)
    del function
    freed = references - sys.getrefcount(recorder.FUNCTION_TYPE)
    assert deleted == [reference] and freed == 1
