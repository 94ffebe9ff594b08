"""Graph methods that take node numbers, and the printed form of a graph."""

import doctest

import numpy as np
import pytest

import dynet_core as dy
import dynet_ops as ops
from dynet_core.graph import current
from dynet_ops.input import inputs


@pytest.fixture
def g():
    return dy.renew_cg()


def test_values_by_number(g):
    x = ops.inputVector([1, 2])
    y = ops.squared_norm(x)
    assert (g.forward(y.at), g.inc_forward(y.at)) == (None, None)
    assert g.forward_scalar(y.at) == g.inc_forward_scalar(y.at) == 5.0
    assert g.forward_vec(x.at) == g.inc_forward_vec(np.int64(x.at)) == [1.0, 2.0]
    assert g.forward_vec(y.at) == [5.0]
    assert str(y).startswith(f"expression {y.at}/"), "this is where a program has the number from"


def test_forward_begins_anew_and_inc_forward_goes_on(g):
    y = ops.dropout(ops.ones((1000,)), 0.5)
    first = g.inc_forward_vec(y.at)
    assert g.inc_forward_vec(y.at) == first
    g.inc_forward(y.at)
    assert y.vec_value() == first
    assert g.forward_vec(y.at) != first
    second = y.vec_value()
    g.forward(y.at)
    assert y.vec_value() != second


def test_gradients_by_number(g):
    p = dy.ParameterCollection().add_parameters(2, init=1.0)
    x = ops.inputVector([3, 4])
    y = ops.dot_product(p, x)
    assert g.backward(y.at) is None
    assert p.grad_as_array().tolist() == [3, 4]
    g.backward(y.at, full=True)
    assert x.gradient().tolist() == [1, 1]


NUMBERED = [
    "forward", "inc_forward", "forward_scalar", "inc_forward_scalar", "forward_vec", "inc_forward_vec", "backward",
]  # fmt: skip


@pytest.mark.parametrize("name", NUMBERED)
def test_numbers_of_no_expression(g, name):
    method = getattr(g, name)
    with pytest.raises(dy.OutOfRangeError, match=f"{name}: graph {g.version()} has no expression number 0"):
        method(0)
    y = ops.squared_norm(ops.inputVector([1, 2]))
    for wrong in (y.at + 1, -1):
        with pytest.raises(dy.OutOfRangeError, match=f"{name}: .* has no expression number {wrong}"):
            method(wrong)
    for wrong in ("a", None, y):
        with pytest.raises(dy.ArgumentTypeError, match=name):
            method(wrong)
    g.checkpoint()
    z = ops.squared_norm(y)
    g.revert()
    with pytest.raises(dy.OutOfRangeError, match=f"has no expression number {z.at}"):
        method(z.at)
    assert y.value() == 5.0


def test_what_is_no_single_number_is_no_scalar(g):
    x = ops.inputVector([1, 2])
    for method in (g.forward_scalar, g.inc_forward_scalar, g.backward):
        with pytest.raises(dy.ShapeError):
            method(x.at)


def test_inputs(g):
    x = g.inputMatrixLiteral([1, 2, 3, 4], (2, 2), device="CPU")
    assert x.npvalue().tolist() == [[1, 3], [2, 4]]
    x.set([5, 6, 7, 8])
    assert x.npvalue().tolist() == [[5, 7], [6, 8]]
    assert g.inputMatrixLiteral(np.arange(4), (2,), 2).dim() == ((2,), 2)
    y = g.inputSparseTensor([0, 3], [3.0, 4.0], (2,), 2, 0.5)
    assert y.dim() == ((2,), 2) and y.npvalue().tolist() == [[3, 0.5], [0.5, 4]]


WRONG_INPUTS = [
    (lambda g: g.inputMatrixLiteral([1, 2, 3], (2, 2)), dy.ShapeError),
    (lambda g: g.inputMatrixLiteral([[1, 2], [3, 4]], (2, 2)), dy.ShapeError),
    (lambda g: g.inputMatrixLiteral([1, 2], (2,), device="GPU:9"), dy.DeviceError),
    (lambda g: g.inputSparseTensor([4], [1.0], (2, 2)), dy.OutOfRangeError),
    (lambda g: g.inputSparseTensor([0], [1.0, 2.0], (2, 2)), dy.ShapeError),
    (lambda g: g.inputSparseTensor([0], [1.0], (2, 2), device="GPU:9"), dy.DeviceError),
    (lambda g: g.inputSparseTensor([0], [1.0], (2, 2), defval="a"), dy.ArgumentTypeError),
]


@pytest.mark.parametrize("place", range(len(WRONG_INPUTS)))
def test_wrong_inputs(g, place):
    call, error = WRONG_INPUTS[place]
    with pytest.raises(error):
        call(g)
    assert g.node_count() == 0


def test_examples():
    runner = doctest.DocTestRunner()
    for method in (inputs.inputMatrixLiteral, inputs.inputSparseTensor):
        (test,) = doctest.DocTestFinder(recurse=False).find(method, method.__name__, globs={"dy": dy})
        assert runner.run(test) == (0, 1)


def test_the_class_is_what_cg_gives(g):
    assert dy.cg() is g and type(g) is dy.ComputationGraph and g is current()


# dump


def test_an_empty_graph(g, capsys):
    dy.dump_cg()
    assert capsys.readouterr().out == "(Computation graph is empty)\n"


def test_values_and_gradients(g, capsys):
    x = ops.inputVector([1, 2])
    y = ops.squared_norm(x)
    dy.dump_cg()
    before = [f"Node {x.at}: input (2,)", "Value:", "[1. 2.]", "Gradient: (not computed)"]
    before += [f"Node {y.at}: squared_norm (1,)", "Value:", "[5.]", "Gradient: (not computed)"]
    assert capsys.readouterr().out.splitlines() == before
    y.backward(full=True)
    g.dump("", False, True, False)
    after = [f"Node {x.at}: input (2,)", "Gradient:", "[2. 4.]", f"Node {y.at}: squared_norm (1,)", "Gradient:", "[1.]"]
    assert capsys.readouterr().out.splitlines() == after
    g.dump("", False, False, False)
    assert capsys.readouterr().out.splitlines() == [after[0], after[3]]


def test_what_is_not_finite(g, capsys):
    x = ops.log(ops.inputVector([-1, 2]))
    ops.sum_elems(x).backward(full=True)
    dy.dump_cg(nan_check_only=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in lines if line.startswith("Value")] == ["valid", "invalid", "invalid"]
    assert [line for line in lines if line.startswith("Gradient")] == ["Gradient: valid"] * 3


def test_batches_and_parts(g, capsys):
    x = ops.inputTensor(np.ones((2, 2, 3)), batched=True)
    ops.sum_batches(ops.squared_norm(x[1])).backward()
    g.checkpoint()
    taken_back = ops.tanh(x)
    g.revert()
    dy.dump_cg()
    text = capsys.readouterr().out
    assert "(2, 2) x 3" in text and f"Node {taken_back.at}:" not in text
    assert text.count("Node ") == text.count("Value:") == text.count("Gradient")


@pytest.mark.parametrize("name", [str, lambda path: str(path).encode()])
def test_a_file(g, tmp_path, capsys, name):
    ops.inputVector([1, 2])
    dy.dump_cg(name(tmp_path / "dump"), show_gradients=False)
    assert (tmp_path / "dump").read_text() == "Node 0: input (2,)\nValue:\n[1. 2.]\n"
    assert capsys.readouterr().out == ""
    with pytest.raises(OSError):
        dy.dump_cg(name(tmp_path / "no" / "dump"))


def test_wrong_arguments_of_dump(g):
    for given in ({"show_values": "a"}, {"show_gradients": None}, {"nan_check_only": 3}):
        with pytest.raises(dy.ArgumentTypeError, match=f"dump_cg: {next(iter(given))}"):
            dy.dump_cg(**given)
