"""Handles serve again once the program holds them no more, and never before."""

import gc
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynet as dy
from dynet_core import handles
from dynet_core.graph import current

counted = pytest.mark.skipif(not handles.FREE, reason="this Python does not count references exactly")


@pytest.fixture(autouse=True)
def fresh_graph():
    dy.renew_cg()


def chain() -> list:
    return current().handles.chain


def ones(count: int) -> list:
    return [dy.tanh(dy.ones((1,))) for _ in range(count)]


@counted
def test_what_nobody_holds_serves_again():
    first = id(dy.tanh(dy.ones((1,))))
    dy.renew_cg()
    assert id(dy.tanh(dy.ones((1,)))) == first


def test_what_is_held_is_stale_and_stays_so():
    held = [dy.tanh(dy.ones((1,))), *[dy.ones((2,))] * 2, *[dy.ones((3,))] * 300]
    version = dy.cg_version()
    for _ in range(3):
        dy.renew_cg()
        new = [dy.tanh(dy.ones((1,))) for _ in range(9)]
        assert not {id(x) for x in held} & {id(x) for x in new}
        for x in held:
            with pytest.raises(dy.StaleExpressionError, match=f"belongs to graph {version}, which renew_cg has"):
                x.value()


def test_a_held_handle_keeps_no_others():
    held = dy.ones((1,))
    dy.renew_cg()
    assert held.next is None


@settings(deadline=None)  # the first example may compile kernels
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=2, max_size=6))
def test_whatever_is_held_graphs_have_their_own_nodes(graphs):
    # 0: not held, 1: held until the next graph, 2: held for good
    kept, before = [], []
    for number, holds in enumerate(graphs):
        dy.renew_cg()
        values = [number + place / 64 for place in range(len(holds))]
        nodes = [dy.tanh(dy.scalarInput(value)) for value in values]
        assert [node.at for node in nodes] == list(range(1, 2 * len(holds), 2))
        np.testing.assert_allclose([node.value() for node in nodes], np.tanh(values), rtol=1e-5)
        for node in before + kept:
            with pytest.raises(dy.StaleExpressionError):
                node.value()
        before = [node for node, hold in zip(nodes, holds) if hold == 1]
        kept += [node for node, hold in zip(nodes, holds) if hold == 2]
        nodes = node = None


@pytest.mark.skipif(not handles.STORED, reason="this Python does not store references where compiled code finds them")
@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=300))
def test_compiled_code_finds_those_that_python_finds(holds):
    dy.renew_cg()
    nodes = ones(len(holds))
    nodes[0].value()  # there is compiled code from now on
    held = [node for node, count in zip(nodes, holds) for _ in range(count)]
    wanted = sorted({node.at for node in held})
    del nodes
    assert list(current().handles._held(2 * len(holds))) == wanted
    dy.renew_cg()
    assert all(node.graph is not current() for node in held)
    ones(len(holds))  # in place of those that are held, others
    assert not current().handles._held(2 * len(holds))


def test_a_chain_without_compiled_code(monkeypatch):
    monkeypatch.setattr(handles, "STORED", 0)
    test_what_is_held_is_stale_and_stays_so()
    test_a_chain_grows_with_its_graph_and_gives_back()
    dy.renew_cg()
    held = ones(100)[::7]
    dy.renew_cg()
    assert all(node.graph is not current() for node in held)


def test_a_chain_grows_with_its_graph_and_gives_back():
    total = dy.esum(ones(3 * handles.COUNT))
    assert total.value() == pytest.approx(3 * handles.COUNT * np.tanh(1), rel=1e-3)
    assert len(chain()) >= 6 * handles.COUNT
    del total
    dy.renew_cg()
    assert len(chain()) >= 6 * handles.COUNT  # the next graph may be as large
    dy.renew_cg()
    assert len(chain()) == handles.COUNT
    assert dy.esum(ones(handles.COUNT)).value() == pytest.approx(handles.COUNT * np.tanh(1), rel=1e-3)


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_records_of_several_nodes_at_the_end_of_a_chain(left):
    lstm = dy.VanillaLSTMBuilder(2, 1, 2, dy.Model())
    expected = [y.npvalue() for y in lstm.initial_state().transduce(ones(3))]
    for read in (lambda xs: lstm.initial_state().transduce(xs), one_by_one(lstm)):
        dy.renew_cg()
        inputs = ones(3)
        for _ in range(len(chain()) - current().node_count() - left):
            dy.ones((1,))
        for y, value in zip(read(inputs), expected, strict=True):
            np.testing.assert_allclose(y.npvalue(), value, rtol=1e-5)


def one_by_one(lstm):
    return lambda xs: [state.output() for state in lstm.initial_state().add_inputs(xs)]


@pytest.mark.parametrize("record", [
    lambda: dy.inputVector([1.0]),
    lambda: dy.scalarInput(1.0),
    lambda: dy.inputTensor(np.ones(1)),
    lambda: dy.lookup(TABLE, 0),
    lambda: dy.lookup_batch(TABLE, [0]),
    lambda: dy.esum([X]),
    lambda: X * 1.0,
    lambda: dy.cmult(X, X),
    lambda: dy.concatenate([X, X])[0:1],
    lambda: dy.pick(X, 0),
    lambda: dy.pickrange(X, 0, 1),
    lambda: dy.affine_transform([X, X, X]),
    lambda: dy.pickneglogsoftmax(X, 0) + 1.0,
    lambda: dy.pickneglogsoftmax_batch(X, [0]) + 1.0,
], ids=range(14))  # fmt: skip
def test_every_way_of_recording_lengthens_the_chain(record):
    global X, TABLE
    TABLE = dy.Model().add_lookup_parameters((1, 1), init=dy.ConstInitializer(1.0))
    for _ in range(2):  # the second time, shapes are known
        dy.renew_cg()
        X = dy.ones((1,))
        while current().next is not None:
            dy.ones((1,))
        assert record().value() in (1.0, 2.0, [1.0])
    del X, TABLE


def test_without_counts_all_are_taken_to_be_held(monkeypatch):
    monkeypatch.setattr(handles, "FREE", 0)
    monkeypatch.setattr(handles, "HELD", handles.re.compile(b"[^\0]", handles.re.DOTALL))
    used = {id(handle) for handle in chain()}
    held = ones(3)
    dy.renew_cg()
    new = ones(3)
    assert not {id(x) for x in new} & used
    assert [x.value() for x in new] == [x.value() for x in ones(3)]
    with pytest.raises(dy.StaleExpressionError):
        held[0].value()


def test_threads_have_chains_of_their_own():
    mine, theirs = ones(3), []
    thread = threading.Thread(target=lambda: theirs.append(({id(x) for x in ones(3)}, chain())))
    thread.start()
    thread.join()
    ids, other = theirs[0]
    assert other is not chain() and not ids & {id(x) for x in mine}


def test_what_uncollected_garbage_holds_is_held():
    gc.disable()
    try:
        garbage = [dy.ones((1,))]
        kept = id(garbage[0])
        garbage.append(garbage)
        del garbage
        dy.renew_cg()
        assert id(dy.ones((1,))) != kept
    finally:
        gc.enable()
