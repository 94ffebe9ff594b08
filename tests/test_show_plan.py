"""`show_plan`: its output, and that it has no side effects."""

import re

import numpy as np
import pytest

import dynet as dy


def shown(capsys, *arguments) -> str:
    dy.show_plan(*arguments)
    return capsys.readouterr().out


def test_nodes_that_run_together_are_one_group(capsys):
    dy.renew_cg()
    y = dy.esum([dy.tanh(dy.inputVector([k, 1.0])) for k in range(7)])
    text = shown(capsys)
    assert re.search(r"tanh +\{2\} +7 nodes, from \d+\n +tanh: 7 columns\n", text)
    assert text.startswith("15 nodes: 7 inputs, 0 parts of other nodes' memory, 8 computed by 2 instructions")
    assert "backward" not in text  # the last node is not a scalar
    assert y.value()


def test_places_are_those_of_the_values(capsys):
    dy.renew_cg()
    x = dy.inputTensor(np.ones((3, 40)))
    y, z = dy.exp(x), dy.log(x)
    assert re.search(r"exp +\{3,40\} +1 node, from 128\n", shown(capsys))
    assert re.search(r"log +\{3,40\} +1 node, from 256\n", shown(capsys))
    assert (y.npvalue() != z.npvalue()).all()


@pytest.mark.parametrize(
    ("loss", "line"),
    [
        (lambda w: dy.esum([dy.tanh(w), dy.exp(w)]), "the gradient of its operands is in the same memory"),
        (lambda w: dy.tanh(dy.exp(w)), "tanh.dx: 1 column, sets the gradient of operand 0"),
        (lambda w: dy.tanh(w), "tanh.dx: 1 column, adds to the gradient of operand 0"),
        (lambda w: dy.exp(w) + dy.inputVector([1, 2]), "the gradient of operand 1 is not wanted"),
    ],
)
def test_what_backward_steps_do(capsys, loss, line):
    dy.renew_cg()
    w = dy.ParameterCollection().add_parameters(2, init=1.0)
    text = shown(capsys, dy.sum_elems(loss(w)))
    assert line in text
    assert "set the gradient of the loss to 1" in text


def test_gradients_of_matrices_come_last(capsys):
    dy.renew_cg()
    w = dy.ParameterCollection().add_parameters((2, 2))
    text = shown(capsys, dy.sum_elems(dy.esum([w * dy.inputVector([k, 1]) for k in range(3)])))
    assert "product.dW: 3 columns, adds to the gradient of operand" in text.partition("at the end")[2]


def test_nothing_changes(capsys):
    """Values, and the rows that a trainer treats as used, are the same with and without a call."""
    found = []
    for shows in (False, True):
        m = dy.ParameterCollection()
        table, w = m.add_lookup_parameters((6, 3), init=0.5), m.add_parameters((3, 3), init=0.25)
        trainer = dy.AdamTrainer(m, 0.1)
        for row in (1, 4, 1):
            dy.renew_cg()
            loss = dy.squared_norm(w * table[row])
            if shows:
                shown(capsys, loss)
            value = loss.value()
            other = dy.squared_norm(w * table[5])
            if shows:
                shown(capsys, other)
            assert loss.value() == value
            loss.backward()
            if shows:
                shown(capsys)
            trainer.update()
        found.append(np.concatenate([table.as_array().ravel(), w.as_array().ravel()]))
    assert (found[0] == found[1]).all()


def test_a_graph_that_grows(capsys):
    dy.renew_cg()
    x = dy.inputVector([1, 2])
    for count in range(1, 5):
        x = dy.tanh(x)
        assert x.value()
        assert f"{count} computed by {count} instructions" in shown(capsys)


def test_large_graphs_are_cut_off_and_room_is_made(capsys):
    dy.renew_cg()
    x = dy.inputTensor(np.zeros(1000))
    for _ in range(3000):
        x = dy.tanh(x)
    text = shown(capsys)
    assert "... and 2800 more groups" in text
    assert len(text.splitlines()) == 4 + 2 * 200


def test_an_empty_graph(capsys):
    dy.renew_cg()
    assert shown(capsys) == "The graph is empty.\n"


def test_an_expression_of_another_graph_is_refused():
    dy.renew_cg()
    x = dy.sum_elems(dy.inputVector([1, 2]))
    dy.renew_cg()
    dy.inputVector([1, 2])
    with pytest.raises(dy.StaleExpressionError, match="show_plan"):
        dy.show_plan(x)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: 5, dy.ArgumentTypeError, r"show_plan: expected an Expression, got int 5; dy\.scalarInput"),
        (lambda: "loss", dy.ArgumentTypeError, "show_plan: expected an Expression, got str 'loss'"),
        (lambda: [dy.scalarInput(1)], dy.ArgumentTypeError, r"show_plan: expected an Expression, got list \[expr"),
        (lambda: dy.cg(), dy.ArgumentTypeError, "show_plan: expected an Expression, got ComputationGraph <graph "),
        (lambda: dy.Expression(), dy.ArgumentTypeError, "show_plan: an unfinished Expression stands for no node"),
        (lambda: dy.inputVector([1, 2]), dy.ShapeError, r"show_plan: the expression is \(2,\), not .*; sum_elems"),
        (lambda: dy.inputTensor([[1, 2]], batched=True), dy.ShapeError, r"show_plan: .*\(1,\) x 2, not .* sum_batches"),
        (lambda: dy.Model().add_parameters(1), dy.ArgumentError, r"show_plan: Parameter /_0 \(1,\) is a parameter"),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_what_is_no_loss_is_refused(capsys, wrong, error, message, empty):
    dy.renew_cg()
    if not empty:
        dy.tanh(dy.scalarInput(1.0))
    with pytest.raises(error, match=message):
        dy.show_plan(wrong())
    assert capsys.readouterr().out == ""
