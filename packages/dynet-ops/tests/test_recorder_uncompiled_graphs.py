"""The recorder's functions for graphs and objects give the same results in plain Python as when compiled.

See `uncompiled` for the comparison.
"""

import ctypes
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import uncompiled
from hypothesis import given, settings
from hypothesis import strategies as st
from uncompiled import both, declining, left, of, run, same, vectorcall

import dynet_ops as dy
from dynet_core import ParameterCollection, recorder, renew_cg
from dynet_core.dim import Dim
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_core.recorder import function
from dynet_kernels.recorder import c_api, words
from dynet_kernels.recorder.c_functions import FUNCTIONS

# Records made by Python code


@of("commit")
def test_commit():
    old = dy.inputVector([1.0, 2.0])
    renew_cg()
    x, p = dy.inputVector([1.0, 2.0]), ParameterCollection().add_parameters(3)
    version, dim = current().records.version, x.type
    for nodes, head, operands in (
        (1, (7,), [x, p, 3]),
        (3, (7, -1), (x, x)),
        (0, (), []),
        (1, (1,), range(0) and [] or ()),
    ):
        before = current().records.nodes
        assert same(recorder.commit, dim, nodes, head, operands, version).at == before + nodes - 1
    for arguments in (
        (dim, 1, (7,), [x], version + 1), (dim, 1, (7,), [x], float(version)), (dim, 1, [7], [x], version),
        (dim, 1.0, (7,), [x], version), (dim, -1, (7,), [x], version), (dim, True, (7,), [x], version),
        (dim, 1, (7,), {x: 1}, version), (dim, 1, (7,), [x, None], version), (dim, 1, (None,), [x], version),
        (dim, 1, (7,), [old], version), (dim, 1, (1 << 63,), [x], version), (dim, 1, (7,), [1 << 200], version),
        (dim, 1 << 63, (7,), [x], version), (dim, 1, (7,), [np.int64(3)], version), (dim, 1, (7,), [x]),
    ):  # fmt: skip
        left(recorder.commit, *arguments)


@of("sequence", "handle")
def test_sequences_and_handles():
    x, y = dy.inputVector([1.0, 2.0]), dy.inputVector([3.0, 4.0])
    version, dim, result = current().records.version, x.type, Dim.of((5,))
    for xs in ([], [x], [x, y, x], [y] * 300):
        found = same(recorder.add_list, result, (7, 8), xs, dim, version)
        assert [one.at for one in found] == list(range(current().records.nodes - len(xs), current().records.nodes))
        assert sys.getrefcount(found) == 2
    p = ParameterCollection().add_parameters(2)
    for arguments in (
        (result, (7,), (x,), dim, version), (result, [7], [x], dim, version), (result, (7,), [x], dim, version + 1),
        (result, (7,), [x, p], dim, version), (result, (7,), [x, 1], dim, version), (result, (7.0,), [x], dim, version),
        (result, (7,), [x], result, version), (result, (7,), [x], dim, 1.0),
    ):  # fmt: skip
        left(recorder.add_list, *arguments)
    for at in (0, 1, np.int64(1), current().records.nodes - 1):
        assert same(recorder.node_at, at, dim).at == at
    for at in (-1, current().records.nodes, 1 << 63, 1.0, None, x):
        left(recorder.node_at, at, dim)


@of("dynet_make_room", "renew", "cut")
def test_room_and_versions():
    words_of, xs = current().records._words, [dy.inputVector([1.0, 2.0]) for _ in range(5)]
    ys = [dy.dropout(x, 0.5) for x in xs]
    for count in (1, 100_000):
        assert both("dynet_make_room", words_of.address, words_of["length"] + count, 0, is_object=False).result == 1
        assert words_of["room"] - words_of["length"] >= count
    version, ends = current().records.version, current().records.ends()
    length, nodes, inputs = ends
    assert both("cut", words_of.address, version + 1, nodes, length, inputs, is_object=False).result == 0
    ys[-1].value()
    for _ in range(2):  # keep all, then fewer
        version = both("cut", words_of.address, version, nodes, length, inputs, is_object=False).result
        assert version == current().records.version and current().records.ends() == (length, nodes, inputs)
        (nodes, length, inputs) = (2, 4, 4)
    words_of["past_nodes"] = 0
    assert both("cut", words_of.address, version, 1, 2, 2, is_object=False).result == version + 1
    renewed("renew", lambda name, compiled: run(name, compiled, (current().records._words.address,), is_object=False))


@of("renew_quickly")
def test_graphs_are_renewed():
    def renew(name, compiled):
        numbers, held = vectorcall(renew_cg, ())
        with declining(renew_cg):
            outcome = run(name, compiled, numbers)
        assert outcome.result is current() and held
        return outcome

    renewed("renew_quickly", renew)
    x = dy.inputVector([1.0])
    left(renew_cg, True)
    left(renew_cg, immediate_compute=False)
    current().records.mark_unusual()
    left(renew_cg)
    assert x.value() == 1.0


def renewed(name, renew):
    """Renew a graph in both ways. Outgrown buffers are freed, so the graph is rebuilt for each."""
    found = []
    for compiled in (True, False):
        renew_cg()
        for _ in range(1000):  # as long as earlier, larger graphs of this process have left memory to be freed
            if current().records._words["unusual"]:
                renew_cg()
        for _ in range(2000):
            x = dy.dropout(dy.inputVector([1.0, 2.0]), 0.5)
        version = current().records.version
        outcome = renew(name, compiled)
        state = outcome.state.described()
        assert state["version"] == state["open"] == state["newest_version"] == version + 1
        found.append({name: state[name] for name in words.GRAPH if name in state and name not in ("version", "open")})
        assert current().records.ends() == (0, 0, 0) and x.version == version
    assert found[0] == found[1]


# Objects


@of("new", "become", "bind", "visit_nothing")
def test_objects():
    dim = Dim.of((2,))
    for kind in (Expression, type(ParameterCollection().add_parameters(1)), type("Own", (Expression,), {})):
        outcome = both("new", id(kind), id(()), 0)
        assert outcome.result.version == words.NO_NODE
        x = outcome.result
        begin = sys.getrefcount(x)
        assert both("become", id(x), -5, words.ANY_GRAPH, id(dim), is_object=False).result == 0
        assert (x.at, x.version, x.type, sys.getrefcount(x)) == (-5, words.ANY_GRAPH, dim, begin)
    x, keywords = dy.scalarInput(1.0), {"x": 1}
    for arguments in ((id((1,)), 0), (id(()), id(keywords))):
        assert type(both("new", id(Expression), *arguments).error) is TypeError
    bound = both("bind", id(dy.tanh), id(x), id(Expression)).result
    assert bound.__self__ is x and bound.__func__ is dy.tanh
    for nothing in (0, id(None)):
        assert both("bind", id(dy.tanh), nothing, id(Expression)).result is dy.tanh
    assert both("visit_nothing", id(x), 0, 0, is_object=False).result == 0


@of("free", "dynet_free_slowly")
def test_freed_expressions_are_used_again():
    shared, x = uncompiled.SHARED, dy.inputVector([1.0])
    for compiled in (True, False):
        made = [FUNCTIONS["handle"].run_as_python(*vectorcall_kept(recorder.node_at, 0, x.type)) for _ in range(3)]
        kept = shared["free_count"]
        for address in made:
            run("free", compiled, (address,), is_object=False)
            assert shared["free"] == address
        assert shared["free_count"] == kept + 3
        assert FUNCTIONS["handle"].run_as_python(*vectorcall_kept(recorder.node_at, 0, x.type)) == made[-1]
        run("free", compiled, (made[-1],), is_object=False)
        most, shared["free_most"] = shared["free_most"], 0
        try:
            for name in ("free", "dynet_free_slowly"):
                address = FUNCTIONS["handle"].run_as_python(*vectorcall_kept(recorder.node_at, 0, x.type))
                count = shared["free_count"]
                references = sys.getrefcount(Expression)
                uncompiled.pythonapi.Py_IncRef(ctypes.py_object(Expression))  # the reference that freeing drops
                run(name, compiled, (address,), is_object=False)
                assert shared["free_count"] == count and sys.getrefcount(Expression) == references
        finally:
            shared["free_most"] = most


_held = []


def vectorcall_kept(record, *arguments):
    numbers, held = vectorcall(record, arguments)
    _held.append(held)
    return numbers


# Tables


@of("enter", "clear_table")
@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(-3, 3), st.integers()), max_size=150),
    st.sampled_from(["one", "two"]),
)
def test_tables(rows, kind):
    records = [function(kind, uncompiled.declined) for _ in range(2)]
    for first, second, value in rows:
        key = (first << 32, second)[: uncompiled.word(records[0], "key_size").value]
        row = (ctypes.c_int64 * (len(key) + 3))(*key, value % 1000, 2, 3)
        for compiled, record in zip((True, False), records):
            assert run("enter", compiled, (id(record), ctypes.addressof(row)), is_object=False).result == 1
    uncompiled.ran.update(("enter", "clear_table"))
    for is_cleared in (False, True):
        compare_tables(records)
        for compiled, record in zip((True, False), records if not is_cleared else ()):
            assert run("clear_table", compiled, (id(record),), is_object=False).result == 1


def compare_tables(records):
    tables = []
    for record in records:
        mask, used, key = (uncompiled.word(record, name).value for name in ("mask", "used", "key_size"))
        table = (ctypes.c_int64 * ((mask + 1) * (key + 3))).from_address(uncompiled.word(record, "table").value)
        tables.append((mask, used, table[:]))
    assert tables[0] == tables[1]


# Without memory


ALLOCATING = [
    "_PyObject_New", "PyMem_RawMalloc", "PyMem_RawCalloc", "PyList_New", "PyFloat_FromDouble", "PyLong_FromSsize_t",
    "PyBytes_FromStringAndSize", "PyMethod_New", "PyType_GenericAlloc",
]  # fmt: skip


@pytest.mark.parametrize("name", ALLOCATING)
def test_without_memory_an_error_is_raised_and_nothing_appended(name, monkeypatch):
    called, real = [], c_api._ctypes_function

    def function_of(asked, *facts):
        def fail(*arguments):
            called.append(asked)
            raise MemoryError

        return fail if asked == name else real(asked, *facts)

    x = dy.inputVector([1.0, 2.0])
    version, graph = current().records.version, current().records._words.address
    dy.tanh(x), dy.scalarInput(1.0), x.vec_value()
    table, row = function("one", uncompiled.declined), (ctypes.c_int64 * 4)(8, 0, 0, 0)
    uncompiled.word(table, "used").value = words.NEW_TABLE_ROWS // 2  # so that the table must double
    calls = [
        ("bind", (id(dy.tanh), id(x), 0)), ("new", (id(Expression), id(()), 0)),
        ("dynet_make_room", (graph, 1 << 30, 0)), ("dynet_make_room", (graph, 0, 1 << 30)),
        ("enter", (id(table), ctypes.addressof(row))),
    ]  # fmt: skip
    for record, arguments in (
        (Expression.vec_value, (x,)), (dy.tanh, (x,)), (dy.scalarInput, (1.0,)),
        (recorder.commit, (x.type, 1, (0,), [x], version)),
        (recorder.add_list, (x.type, (0,), [x, x], x.type, version)), (recorder.take, ((),)), (recorder.call_key, (x,)),
        (recorder.node_at, (0, x.type)),
    ):  # fmt: skip
        calls.append((uncompiled.kind_of(record), vectorcall_kept(record, *arguments)))
    kept = {name: uncompiled.SHARED[name] for name in ("free", "free_count")}
    uncompiled.SHARED["free"] = uncompiled.SHARED["free_count"] = 0
    failures = 0
    monkeypatch.setattr(c_api, "_ctypes_function", function_of)
    try:
        for kind, numbers in calls:
            called.clear()
            before = current().records.ends()
            outcome = run(kind, False, numbers, is_object=False)
            if called:
                failures += 1
                assert type(outcome.error) is MemoryError and outcome.result == 0
                assert current().records.ends() == before
    finally:
        for each, number in kept.items():
            uncompiled.SHARED[each] = number
    assert failures


def test_every_function_is_compared():
    """Each function is named by the `of` of a test, except one that frees an object, which nobody can do twice."""
    paths = Path(__file__).parent.glob("test_recorder_uncompiled*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    named = set(re.findall(r'"(\w+)"', " ".join(re.findall(r"^@of\((.*)\)$", text, re.MULTILINE))))
    operators = {each for name in words.OPERATORS for each in (name, f"dynet_{name}_slowly")}
    assert named | operators | {"free_function"} == FUNCTIONS.keys()
