"""`set` of lookups: a graph is reused for other rows of a lookup table."""

import threading
from typing import Any

import numpy as np
import pytest
from at_lines import lines_of

import dynet as dy

ROWS = np.arange(6.0).reshape(3, 2)
OF_ONE = {
    "E[i]": lambda E, i: E[i],
    "lookup": dy.lookup,
    "lookup without update": lambda E, i: dy.lookup(E, i, update=False),
    "method": lambda E, i: E.lookup(i),
}
OF_SEVERAL = {
    "lookup_batch": dy.lookup_batch,
    "lookup_batch without update": lambda E, indices: dy.lookup_batch(E, indices, update=False),
    "method": lambda E, indices: E.batch(indices),
}


@pytest.fixture
def model():
    dy.renew_cg()
    yield dy.ParameterCollection()
    dy.renew_cg()


@pytest.fixture
def E(model):
    return model.lookup_parameters_from_numpy(ROWS, name="words")


def counted_rows(*rows):
    """The gradient of the sum of these rows."""
    return np.bincount(rows, minlength=3)[:, np.newaxis] * np.ones((3, 2))


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("kind", OF_ONE)
def test_a_row_becomes_another(E, kind, again):
    for _ in range(1 + again):
        dy.renew_cg()
        E.scale_gradient(0)
        row = OF_ONE[kind](E, 0)
        y = row * 2.0
        loss = dy.sum_elems(y)
        for given, index in ((0, 0), (2, 2), (np.int64(1), 1), (2.0, 2), (np.array([0]), 0), (True, 1)):
            assert row.set(given) is None
            assert y.value() == (2 * ROWS[index]).tolist()
            assert row.value() == ROWS[index].tolist()
            E.scale_gradient(0)
            loss.backward()
            expected = counted_rows(index) * 2 if "without" not in kind else np.zeros((3, 2))
            np.testing.assert_array_equal(E.grad_as_array(), expected)


@pytest.mark.parametrize("kind", OF_SEVERAL)
def test_rows_become_others(E, kind):
    rows = OF_SEVERAL[kind](E, [0, 1])
    loss = dy.sum_batches(dy.sum_elems(rows))
    for given, indices in (
        ([1, 2], [1, 2]), ((2, 2), [2, 2]), (np.array([0, 2]), [0, 2]), ([1.0, np.int32(0)], [1, 0]),
        (iter([2, 1]), [2, 1]),
    ):  # fmt: skip
        rows.set(given)
        assert rows.npvalue().T.tolist() == ROWS[indices].tolist()
        E.scale_gradient(0)
        loss.backward()
        wanted = counted_rows(*indices) if "without" not in kind else np.zeros((3, 2))
        np.testing.assert_array_equal(E.grad_as_array(), wanted)


def test_rows_that_are_tensors(model):
    values = np.arange(24.0).reshape(2, 3, 4)
    E = model.lookup_parameters_from_numpy(values)
    one, several, single = E[0], dy.lookup_batch(E, [0, 1, 0]), dy.lookup_batch(E, [0])
    one.set(1)
    several.set([1, 1, 0])
    single.set([1])
    for got, expected in ((one, values[1]), (several, np.moveaxis(values[[1, 1, 0]], 0, -1)), (single, values[1])):
        assert got.npvalue().tolist() == expected.tolist()


def test_set_before_the_first_value(E):
    row, x = E[0], dy.inputVector([1, 1])
    row.set(1)
    x.set([2, 2])
    y = dy.cmult(row, x)
    row.set(2)
    assert y.value() == [8, 10]


def test_nodes_in_front_keep_their_values(E):
    x = dy.dropout(dy.inputVector(np.ones(1000)), 0.5)
    before = x.value()
    row = E[0]
    row.set(2)
    assert row.value() == [4, 5]
    assert x.value() == before


@pytest.mark.parametrize("rows", [(2, 1, 1), (0, 0, 2)])
def test_graphs_with_the_same_records_keep_their_plan_and_right_rows(E, rows):
    """A reused plan has the rows of the records, also if `set` has changed them back."""
    for row in rows:
        dy.renew_cg()
        x, two = E[0], dy.lookup_batch(E, [1, 2])
        loss = dy.sum_batches(dy.squared_norm(two + x))
        for first, others in ((0, [1, 2]), (row, [0, 2]), (0, [1, 2]), (row, [row, row])):
            x.set(first)
            two.set(others)
            total = ROWS[others] + ROWS[first]
            assert loss.value() == (total**2).sum()
            E.scale_gradient(0)
            loss.backward()
            expected = np.zeros((3, 2))
            np.add.at(expected, others, 2 * total)
            expected[first] += 2 * total.sum(axis=0)
            np.testing.assert_array_equal(E.grad_as_array(), expected)


def test_updates_change_the_rows_that_are_set(model):
    """Expected values are from DyNet 2.1."""
    E = model.lookup_parameters_from_numpy(ROWS)
    trainer = dy.SimpleSGDTrainer(model, 0.1)
    rows = dy.lookup_batch(E, [0, 1])
    loss = dy.sum_batches(dy.squared_norm(rows + 1.0))
    losses = []
    for indices in ([1, 2], [2, 2], [0, 1]):
        rows.set(indices)
        losses.append(loss.value())
        loss.backward()
        trainer.update()
    np.testing.assert_allclose(losses, [86.0, 109.199059, 27.376854], rtol=1e-6)
    expected = [[-0.09556047, 0.80887908], [1.56702626, 2.4227016], [3.41032577, 4.2923913]]
    np.testing.assert_allclose(E.as_array(), expected, rtol=1e-6)


def test_a_gradient_is_gone_with_the_row(E):
    row = E[0]
    loss = dy.squared_norm(row)
    loss.backward()
    assert row.gradient().tolist() == [0, 2]
    row.set(1)
    with pytest.raises(dy.GradientError):
        row.gradient()
    loss.backward()
    assert row.gradient().tolist() == [4, 6]


@pytest.mark.parametrize(
    "wrong, kind, message",
    [
        (3, dy.OutOfRangeError, "^set: row 3 is out of range for /words, which has 3 rows"),
        (-1, dy.OutOfRangeError, "^set: row -1 is out of range for /words, which has 3 rows"),
        (10**30, dy.OutOfRangeError, "^set: row 10+ is out of range"),
        (1.5, dy.ArgumentError, "^set: an index must be a whole number"),
        ([1], dy.ArgumentTypeError, "^set: an index must be an int, not list"),
        ("1", dy.ArgumentTypeError, "^set: an index must be an int, not str"),
        (None, dy.ArgumentTypeError, "^set: an index must be an int"),
    ],
)
@pytest.mark.parametrize("update", [True, False])
def test_what_is_no_row(E, update, wrong, kind, message):
    row = dy.lookup(E, 1, update=update)
    y = row * 1.0
    loss = dy.sum_elems(y)
    loss.backward()
    gradient = E.grad_as_array()
    for _ in range(2):
        with pytest.raises(kind, match=message):
            row.set(wrong)
        assert (row.value(), y.value()) == ([2, 3], [2, 3])
    assert y.gradient().tolist() == ([1, 1] if update else [0, 0])  # it still exists
    np.testing.assert_array_equal(E.grad_as_array(), gradient)


@pytest.mark.parametrize(
    "wrong, kind, message",
    [
        ([1, 3], dy.OutOfRangeError, "^set: row 3 is out of range for /words, which has 3 rows"),
        ([-1, 1], dy.OutOfRangeError, "^set: row -1 is out of range for /words, which has 3 rows"),
        ([1], dy.ShapeError, "^set: 1 row for a lookup of 2"),
        ([1, 2, 0], dy.ShapeError, "^set: 3 rows for a lookup of 2"),
        ([], dy.ArgumentError, "^set: no indices"),
        (1, dy.ArgumentTypeError, "^set: indices must be a sequence of ints"),
        ([2, "a"], dy.ArgumentTypeError, "^set: an index must be an int, not str"),
        ([2, 0.5], dy.ArgumentError, "^set: an index must be a whole number"),
    ],
)
def test_what_are_no_rows(E, wrong, kind, message):
    rows = dy.lookup_batch(E, [0, 1])
    for _ in range(2):
        with pytest.raises(kind, match=message):
            rows.set(wrong)
        assert rows.npvalue().T.tolist() == ROWS[:2].tolist()


def test_all_functions_say_the_same_of_a_row_that_is_not_there(model):
    E = model.lookup_parameters_from_numpy([[1.0, 2.0]], name="words")
    for name, call in {
        "lookup": lambda: E[1],
        "lookup_batch": lambda: dy.lookup_batch(E, [0, 1], update=False),
        "set": lambda: dy.lookup_batch(E, [0]).set([1]),
        "init_row": lambda: E.init_row(1, [3, 4]),
        "row_as_array": lambda: E.row_as_array(1),
        "rows_grad_as_array": lambda: E.rows_grad_as_array([0, 1]),
    }.items():
        with pytest.raises(dy.OutOfRangeError, match=f"^{name}: row 1 is out of range for /words, which has 1 row$"):
            call()


def test_what_depends_on_rows_is_computed(E):
    row = E[0]
    for computed in (row * 1.0, row[0], dy.pick(E, 1), E, dy.parameter(E), dy.lookup_batch(E, [0, 1])[0]):
        with pytest.raises(dy.ArgumentError, match="^set: expected an input or a lookup, got"):
            computed.set(1)
    assert (row.value(), E.as_array().tolist()) == (ROWS[0].tolist(), ROWS.tolist())


def test_lookups_that_are_gone(E):
    old = E[0]
    dy.renew_cg()
    row = E[1]
    dy.cg_checkpoint()
    lost = E[2]
    dy.cg_revert()
    for gone, why in ((old, "renew_cg has replaced"), (lost, "cg_revert has removed")):
        with pytest.raises(dy.StaleExpressionError, match=rf"^set: .*\(2,\).* {why}"):
            gone.set(0)
    other = dy.lookup(E, 2)  # a node with the number of the removed one
    row.set(0)
    assert (row.value(), other.value()) == ([0, 1], [4, 5])


def test_a_lookup_of_another_thread(E):
    row, caught = E[0], []

    def use():
        mine = E[1]
        with pytest.raises(dy.StaleExpressionError, match="^set: .*another thread's graph"):
            row.set(2)
        caught.append(mine.value())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert (row.value(), caught) == ([0, 1], [[2, 3]])


def test_rows_in_front_of_a_checkpoint(E):
    row = E[0]
    dy.cg_checkpoint()
    y = dy.cmult(row, E[1])
    assert y.value() == [0, 3]
    row.set(2)
    assert y.value() == [8, 15]
    dy.cg_revert()
    assert row.value() == [4, 5]
    row.set(1)
    z = row * 2.0
    assert (row.value(), z.value()) == ([2, 3], [4, 6])


def test_nodes_that_are_computed_at_once(E):
    dy.renew_cg(immediate_compute=True)
    row, rows = E[0], dy.lookup_batch(E, [0, 1])
    y = rows + row
    row.set(2)
    rows.set([1, 1])
    assert y.npvalue().T.tolist() == [[6, 8], [6, 8]]


def test_values_of_other_rows_are_checked(model):
    E = model.lookup_parameters_from_numpy([[1.0], [np.nan]])
    dy.renew_cg(check_validity=True)
    row = E[0]
    y = row * 2.0
    assert y.value() == 2
    row.set(1)
    with pytest.raises(dy.NotFiniteError):
        y.value()


def test_a_table_that_is_gone(model):
    E = dy.ParameterCollection().lookup_parameters_from_numpy(ROWS)
    row = E[0]
    del E
    dy.ParameterCollection().lookup_parameters_from_numpy(np.ones((9, 9)))
    row.set(2)
    assert row.value() == [4, 5]
    with pytest.raises(dy.OutOfRangeError, match="which has 3 rows"):
        row.set(5)


class Renewing:
    def __index__(self):
        dy.renew_cg()
        dy.inputVector([7, 7])
        return 2


def test_an_index_that_begins_a_graph(E):
    values: list[Any] = [Renewing(), [0, Renewing()]]
    for given in values:
        dy.renew_cg()
        dy.inputVector([9, 9])
        row: Any = E[0] if isinstance(given, Renewing) else dy.lookup_batch(E, [0, 1])
        with pytest.raises(dy.StaleExpressionError, match="^set: .*renew_cg has replaced"):
            row.set(given)
        assert E[1].value() == [2, 3]


@pytest.mark.parametrize("several", [False, True])
def test_a_handler_that_computes_meanwhile(E, several):
    """Values match the recorded rows, whenever a handler reads a value or records more."""
    for line in range(1, 500):
        dy.renew_cg()
        row = dy.lookup_batch(E, [0, 0]) if several else E[0]
        y = row * 2.0
        y.value()

        def handle(y=y):
            y.value()
            for _ in range(1000):  # the buffer of records is replaced
                y = y + 1.0

        more = lines_of(lambda row=row: row.set([2, 2] if several else 2), handle, line)
        assert y.npvalue().T.tolist() == ([[8, 10]] * 2 if several else [8, 10])
        if not more:
            break
    assert 5 < line < 400


def test_an_interrupt_leaves_the_old_rows_or_the_new(E):
    class Interrupt(Exception):
        pass

    def interrupt():
        raise Interrupt

    for line in range(1, 500):
        dy.renew_cg()
        rows = dy.lookup_batch(E, [0, 1])
        y = rows * 1.0
        y.value()
        try:
            more = lines_of(lambda rows=rows: rows.set([1, 2]), interrupt, line)
        except Interrupt:
            more = True
        assert y.npvalue().T.tolist() in (ROWS[:2].tolist(), ROWS[1:].tolist())
        if not more:
            break
    assert 5 < line < 400
