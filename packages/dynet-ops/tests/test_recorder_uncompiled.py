"""The recorder's paths for ops give the same results in plain Python as when compiled.

See `uncompiled` for the comparison. The files test_recorder_uncompiled_*.py cover inputs, passes and the rest.
"""

import itertools
import operator
import threading

import numpy as np
import pytest
import uncompiled
from hypothesis import given, settings
from hypothesis import strategies as st
from uncompiled import both, declining, kind_of, known, left, of, same
from uncompiled_arguments import NO_NUMBERS, NUMBERS, Listed, Paired, Whole, graph_with_past, no_operands

import dynet_ops as dy
from dynet_core import recorder, renew_cg
from dynet_core.graph import current
from dynet_core.graph.expression import Expression


@of("one")
def test_one_operand(model):
    nodes, gone = graph_with_past()
    matrix = dy.inputTensor(np.ones((4, 3)))
    for op in (dy.tanh, dy.sum_elems, dy.exp):
        assert kind_of(op) == "one"
        for x in (*nodes, matrix, model[1], model[2]):
            assert isinstance(known(op, x), Expression)
        known(op, x=nodes[0])
        for x in no_operands(gone, model[3]):
            left(op, x)
    left(dy.tanh, dy.inputTensor(np.ones((7, 5, 2))))  # a Dim that is new to it
    for arguments, named in (((), {}), ((nodes[0], nodes[0]), {}), ((), {"y": nodes[0]}), ((nodes[0],), {"x": 1})):
        left(dy.tanh, *arguments, **named)


@of("two")
def test_two_operands(model):
    nodes, gone = graph_with_past()
    for op in (dy.cmult, dy.dot_product, dy.squared_distance):
        assert kind_of(op) == "two"
        for x, y in itertools.product([*nodes, model[1]], repeat=2):
            known(op, x, y)
        for x in no_operands(gone, model[3]):
            left(op, nodes[0], x)
            left(op, x, nodes[0])
        left(op, nodes[0], nodes[0], nodes[0])
        left(op, nodes[0])
    known(dy.cmult, nodes[0], y=nodes[1])
    known(dy.cmult, x=nodes[0], y=nodes[1])
    left(dy.cmult, y=nodes[0], x=nodes[1])  # not in order
    left(dy.cmult, nodes[0], x=nodes[1])


@of("many")
@pytest.mark.parametrize("sequence", [list, tuple])
def test_many_operands(model, sequence):
    nodes, gone = graph_with_past()
    single = dy.inputVector([1.0])
    for count in (1, 2, 3, 7, 8, 9, 10, 50):
        for op in (dy.esum, dy.concatenate, dy.concatenate_cols, dy.average):
            known(op, sequence([nodes[k % 2] for k in range(count)]))
            known(op, sequence([model[1]] * count))
        mixed = [*nodes * (count // 2), *[single] * (count % 2)]
        (known if count <= 8 or not count % 2 else same)(dy.concatenate, sequence(mixed))
        for x in no_operands(gone, model[3]):
            for place in {0, count // 2, count - 1}:
                xs = [nodes[0]] * count
                xs[place] = x
                left(dy.esum, sequence(xs))
    known(dy.affine_transform, sequence([dy.inputVector([0.5] * 4), model[2], nodes[0]]))
    x = nodes[0]
    for xs in ([], (), Listed([x, x]), Paired([x, x]), {x: x}, iter([x]), None, x, np.array([x, x], object)):
        left(dy.esum, xs)
    left(dy.esum)
    left(dy.esum, [x], [x])
    left(dy.concatenate, [x] * 20 + [single])


@of("number")
def test_an_operand_and_a_number(model):
    nodes, gone = graph_with_past()
    records = [uncompiled.shared_object(f"{name}_{side}") for name in ("add", "multiply") for side in ("right", "left")]
    for x in (*nodes, model[1]):
        _ = x + 1, 1 + x, x * 2, 2 * x
        for record, number in itertools.product(records, NUMBERS):
            assert kind_of(record) == "number"
            assert isinstance(same(record, x, number), Expression) == (
                type(number) is not int or abs(number) < 1 << 1023
            )
    for record in records:
        for number in NO_NUMBERS:
            left(record, nodes[0], number)
        for x in no_operands(gone, model[3]):
            left(record, x, 1.0)
        left(record, nodes[0])


OPERATORS = {"add": operator.add, "subtract": operator.sub, "true_divide": operator.truediv, "multiply": operator.mul}


@of(*OPERATORS, *(f"dynet_{name}_slowly" for name in OPERATORS))
def test_operators(model):
    nodes, gone = graph_with_past()
    good = [*nodes, model[1], 2, 2.5]
    everything = [*good, *NUMBERS, *NO_NUMBERS, *no_operands(gone, model[3])]
    for name, operate in OPERATORS.items():
        first = dy.scalarInput(2.0) if name == "multiply" else nodes[0]
        for y in good:
            operate(first, y), operate(y, first)  # now both are known
        with declining():
            for y in everything:
                for a, b in ((first, y), (y, first)):
                    both(f"dynet_{name}_slowly", id(a), id(b))
                    result = both(name, id(a), id(b)).result
                    assert isinstance(result, Expression) or not any(y is each for each in good)


@of("negative", "dynet_negative_slowly", "subscript", "dynet_subscript_slowly")
def test_signs_and_subscripts(model):
    nodes, gone = graph_with_past()
    negative = uncompiled.shared_object("negative")
    for x in (*nodes, model[1]):
        _ = -x, x[1], x[0:2], x[1:3]
    with declining(negative):
        for x in (*nodes, model[1], *no_operands(gone, model[3])):
            both("negative", id(x))
            both("dynet_negative_slowly", id(x))
        for x in (*nodes, model[1], gone[0]):
            keys = [*NUMBERS, *NO_NUMBERS, -3, -4, 3, slice(0, 2), slice(1, 3), slice(0, 3), slice(None), slice(2, 1)]
            keys += [
                slice(0, 2, 1),
                slice(-2, 3),
                slice(0, 1 << 70),
                slice(0.0, 2),
                slice(0, 4),
                slice(0, True),
                (1, 2),
            ]
            for key in keys:
                both("subscript", id(x), id(key))
                both("dynet_subscript_slowly", id(x), id(key))


INDICES = [
    0,
    1,
    2,
    -1,
    3,
    1 << 31,
    -(1 << 63),
    (1 << 63) - 1,
    1 << 63,
    1 << 200,
    np.int64(1),
    np.int32(2),
    np.int64(-1),
]
NO_INDICES = [1.0, None, True, "1", Whole(1), np.int8(1), np.float64(1), [0], object()]


@of("index", "lookup")
def test_an_index(model):
    nodes, gone = graph_with_past()
    fixed = model[3]
    lookup = type(fixed).lookup
    assert (kind_of(dy.pick), kind_of(dy.pickneglogsoftmax), kind_of(lookup)) == ("index", "index", "lookup")
    for op, operands in ((dy.pick, [*nodes, model[1]]), (dy.pickneglogsoftmax, nodes), (lookup, [fixed])):
        for x in operands:
            op(x, 0)
            for index in INDICES:
                assert isinstance(same(op, x, index), Expression) == (0 <= index < (5 if op is lookup else 3))
            for index in NO_INDICES:
                left(op, x, index)
    known(dy.pick, nodes[1], index=2)
    left(dy.pick, index=2)
    for x in no_operands(gone, fixed):
        left(dy.pick, x, 0)
        if x is not fixed:
            left(lookup, x, 0)
    left(lookup, nodes[0], 0)


def lists_of_indices():
    numbers = st.one_of(st.integers(0, 2), st.sampled_from([*INDICES, *NO_INDICES]))
    listed = st.lists(numbers, max_size=4)
    arrays = st.builds(
        lambda numbers, dtype, step: np.repeat(np.array(numbers, dtype), abs(step))[::step],
        st.lists(st.integers(-1, 3), max_size=4),
        st.sampled_from(["int64", "int32", "int8", "uint64", "float32", ">i8"]),
        st.sampled_from([1, 2, -1, -3]),
    )
    return st.one_of(listed, listed.map(tuple), listed.map(Listed), arrays, st.sampled_from(NO_INDICES))


@of("indices", "lookup_indices")
@settings(deadline=None, max_examples=60)
@given(indices=lists_of_indices())
def test_several_indices(model, indices):
    nodes, _ = graph_with_past()
    batch = dy.inputTensor(np.arange(9.0).reshape(3, 3), batched=True)
    wide = dy.inputTensor(np.arange(6.0).reshape(3, 2), batched=True)
    lookup = type(model[3]).batch
    for op, x in ((dy.pick_batch, batch), (dy.pick_batch, wide), (lookup, model[3]), (dy.pick_batch_elems, wide)):
        for count in (1, 2, 3):
            if op is not dy.pick_batch or count == x.type.batch:
                op(x, [1 % x.type.batch] * count)
        result = same(op, x, indices)
        if isinstance(indices, list | tuple) and type(indices) in (list, tuple) and indices:
            fine = all(type(k) in (int, np.int64, np.int32) and 0 <= k < 2 for k in indices)
            assert isinstance(result, Expression) or not fine or op is dy.pick_batch or len(indices) > 3
    left(lookup, nodes[0], indices)
    left(dy.pick_batch, model[3], indices)


@of("stretch")
@settings(deadline=None, max_examples=60)
@given(*[st.one_of(st.integers(-1, 4), st.sampled_from([*INDICES, *NO_INDICES]))] * 2)
def test_stretches(model, first, last):
    nodes, gone = graph_with_past()
    for x in (nodes[0], model[1]):
        for length in (1, 2, 3):
            dy.pickrange(x, 0, length)
        result = same(dy.pickrange, x, first, last)
        if type(first) in (int, np.int64, np.int32) and type(last) in (int, np.int64, np.int32):
            assert isinstance(result, Expression) == (0 <= first < last <= 3)
    left(dy.pickrange, gone[0], 0, 2)
    known(dy.pickrange, nodes[1], 0, u=2)


@of("dynet_count_in_order", "dynet_slowly")
def test_keywords():
    x = dy.inputVector([1.0, 2.0])
    for first in ((), (x,), (x, x)):
        for names in ((), ("x",), ("x", "v"), ("v", "x"), ("v",), ("u", "v"), ("v", "u"), ("x", "v", "u"), ("u", "d")):
            values = dict.fromkeys(names, 1)
            with declining(dy.pickrange):
                (function, arguments, count, keywords), held = uncompiled.vectorcall(dy.pickrange, first, values)
                result = both("dynet_slowly", function, arguments, count, keywords).result
                assert len(result.arguments) + len(result.named) == len(first) + len(names)
                if names:
                    number = both("dynet_count_in_order", function, len(first), keywords, is_object=False).result
                    in_order = names == ("x", "v", "u", "d")[len(first) :][: len(names)]
                    assert number == (len(first) + len(names) if in_order else -1)
                del held


def test_graphs_that_python_watches():
    """If Python must see each node, fast paths append nothing; `commit` does."""
    renew_cg(immediate_compute=True)
    x = dy.inputVector([1.0, 2.0])
    dy.tanh(x)
    left(dy.tanh, x)
    left(dy.cmult, x, x)
    left(dy.esum, [x])
    left(dy.pick, x, 0)
    left(dy.scalarInput, 1.0)
    left(recorder.call_key, x)
    assert same(recorder.commit, x.type, 1, (0,), [x], current().records.version).at == x.at + 2


def test_a_thread_without_a_graph():
    failed = []

    def target():
        try:
            with declining(dy.tanh):
                numbers, held = uncompiled.vectorcall(dy.tanh, (1,))
                outcomes = [uncompiled.run("one", compiled, numbers, memory=False) for compiled in (True, False)]
                assert all(isinstance(each.result, uncompiled.Declined) for each in outcomes)
                del held
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    assert not failed
