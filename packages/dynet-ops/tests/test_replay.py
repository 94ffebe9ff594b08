"""`recorder.replay` records several nodes in compiled code, from a template that its caller keeps."""

import pytest

import dynet_ops as dy
from dynet_core import Model, recorder, renew_cg, reset_random_seed
from dynet_core.graph import current
from dynet_core.graph.templates import Observation

pytestmark = pytest.mark.skipif(not recorder.HAS_TEMPLATES, reason="the recorder in Python has no templates")
VECTOR = [1.0, 2.0, 3.0]


def several(x, y, p):
    """Three nodes, one of which draws random numbers."""
    return dy.tanh(dy.dropout(x, 0.5) + p) + y


@pytest.fixture
def learnt():
    """An expression with the op's Dim, a template of `several`, and the parameter."""
    renew_cg()
    p = Model().add_parameters(3)
    for _ in range(2):
        x, y = dy.inputVector(VECTOR), dy.inputVector(VECTOR)
        observed = Observation()
        last = several(x, y, p)
        template = observed.template([x.at, y.at], last, [])
    return last.type, template, p


def test_the_same_is_recorded(learnt):
    dim, template, p = learnt

    def recorded(record):
        reset_random_seed(2)
        renew_cg()
        dy.inputVector([0.0] * 7)
        x, y = dy.inputVector(VECTOR), dy.inputVector(VECTOR)
        found = record(x, y)
        length, _, inputs = current().records.ends()
        return found.value(), found.dim(), current().records.integers(0, length), inputs

    wanted = recorded(lambda x, y: several(x, y, p))
    assert recorded(lambda x, y: recorder.replay(dim, template, (x, y), x.version)) == wanted
    assert recorded(lambda x, y: recorder.replay(dim, template, (x.at, y), x.version)) == wanted


def test_keys_of_random_nodes_are_found_again(learnt):
    dim, template, _ = learnt
    x = dy.inputVector(VECTOR)
    for _ in range(3):
        last = recorder.replay(dim, template, (x, dy.inputVector(VECTOR)), x.version)
    assert len(current().records.random_key_offsets(0)) == 5  # two from learning
    assert last.value() is not None


def test_nothing_is_recorded_for_another_graph_or_operand(learnt):
    dim, template, p = learnt
    old = dy.inputVector(VECTOR)
    renew_cg()
    x = dy.inputVector(VECTOR)
    before = current().records.ends()
    assert recorder.replay(dim, template, (old, x), x.version) is None
    assert recorder.replay(dim, template, (x, "x"), x.version) is None
    assert recorder.replay(dim, template, (x, 1 << 70), x.version) is None
    assert recorder.replay(dim, template, (x, x), old.version) is None
    assert recorder.replay(dim, template, [x, x], x.version) is None
    with pytest.raises(TypeError):
        recorder.replay(dim, "a text", (x, x), x.version)
    assert current().records.ends() == before
    assert recorder.replay(dim, template, (x, p), x.version).dim() == ((3,), 1)


def test_python_sees_all_nodes_of_a_graph_that_is_watched(learnt):
    dim, template, _ = learnt
    renew_cg(immediate_compute=True)
    x = dy.inputVector(VECTOR)
    assert recorder.replay(dim, template, (x, dy.inputVector(VECTOR)), x.version) is None
    renew_cg()


def test_other_nodes_make_no_template(learnt):
    _, _, p = learnt
    other = dy.inputVector(VECTOR)
    x, y = dy.inputVector(VECTOR), dy.inputVector(VECTOR)
    observed = Observation()
    last = several(x, y, p) + other
    assert observed.template([x.at, y.at], last, []) is None
    assert observed.template([x.at, x.at, y.at], last, [other.at]) is None
    assert observed.template([x.at, y.at], last, [other.at]) is not None
    last.value()
    assert observed.template([x.at, y.at], last, [other.at]) is None
