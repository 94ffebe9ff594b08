"""The operations of matrix products are counted correctly, and every component of a floor is measured."""

import pytest

import dynet as dy
import floor
from competitors import Row, rows_of


def test_operations_of_a_graph():
    m = dy.ParameterCollection()
    W, V = m.add_parameters((5, 3)), m.add_parameters((2, 5))
    dy.renew_cg()
    xs = [dy.inputVector([1.0, 2.0, 3.0]) for _ in range(4)]
    loss = dy.esum([dy.sum_elems(V * dy.tanh(W * x)) for x in xs])
    # Each product: forward, the gradient of its matrix, and the gradient of its operand unless that is an input.
    found = floor.products_of(loss)
    assert found == {(kind, 5, 3, 4): 1 for kind in ("y", "dW")} | {(kind, 2, 5, 4): 1 for kind in ("y", "dx", "dW")}
    assert floor.Work(found, 0, 0).operations == 4 * 2 * (5 * 3 * 2 + 2 * 5 * 3)
    assert floor.blas_seconds(found) > 0


def test_a_sentence_needs_about_as_much_whatever_the_minibatch():
    one, ten = (floor.work_of(Row("tagger", "tagger", size)) for size in (1, 10))
    assert one.operations == pytest.approx(ten.operations, rel=0.5)
    assert one.bytes == pytest.approx(10 * ten.bytes)
    assert one.weights == ten.weights > 0


def test_a_task_without_parameters_has_no_weights():
    work = floor.work_of(Row("small", "small", 1))
    assert (work.operations, work.bytes, work.weights) == (0, 0, 0)


def test_all_parts_of_a_row_are_measured():
    row = next(row for row in rows_of(["xor"]) if row.minibatch == 1)
    assert min(floor.floor_of(row, rounds=1, seconds=0.02)) > 0
