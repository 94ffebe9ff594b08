"""Graph methods that take node numbers, and the printed graph, for records with several nodes."""

import pytest

import dynet_core as dy
import dynet_ops as ops
import dynet_rnn as rnn


@pytest.fixture
def outputs():
    dy.renew_cg()
    lstm = rnn.VanillaLSTMBuilder(2, 2, 3, dy.ParameterCollection())
    return lstm.initial_state().transduce([ops.inputVector([1, k]) for k in range(3)])


def test_values_by_number(outputs):
    """Projections are nodes but not expressions."""
    g = dy.cg()
    assert [g.inc_forward_vec(y.at) for y in outputs] == [y.vec_value() for y in outputs]
    assert [g.forward_vec(y.at) for y in outputs] == [y.vec_value() for y in outputs]
    with pytest.raises(dy.OutOfRangeError, match=f"no expression number {outputs[0].at - 1}"):
        g.forward(outputs[0].at - 1)


def test_dump(outputs, capsys):
    ops.sum_elems(outputs[-1]).backward()
    dy.dump_cg()
    text = capsys.readouterr().out
    assert all(f"Node {y.at}:" in text for y in outputs) and f"Node {outputs[0].at - 1}:" not in text
    assert text.count("Node ") == text.count("Value:") == text.count("Gradient") == 3 + 2 * 3 + 1
