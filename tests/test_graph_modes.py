"""Graph features: checkpoints, immediate computation, checks for NaN, and drawings."""

import re
import threading
import xml.etree.ElementTree

import numpy as np
import pytest

import dynet as dy


@pytest.fixture
def model():
    dy.renew_cg()
    return dy.ParameterCollection()


# Checkpoints


def test_a_revert_takes_back_what_was_recorded(model):
    W = model.parameters_from_numpy(np.eye(2) * 2)
    x = dy.inputVector([1, 2])
    y = W * x
    dy.cg_checkpoint()
    for factor in (1.0, 2.0):
        z = dy.sum_elems(y * factor)
        assert z.value() == 6 * factor
        dy.cg_revert()
        with pytest.raises(dy.StaleExpressionError, match="that cg_revert has removed"):
            z.value()
        dy.cg_checkpoint()
    loss = dy.sum_elems(dy.tanh(y))
    loss.backward()
    np.testing.assert_allclose(W.grad_as_array()[0], (1 - np.tanh(2) ** 2) * np.array([1, 2]), rtol=1e-5)
    assert y.value() == [2, 4]


def test_checkpoints_are_nested(model):
    a = dy.scalarInput(1)
    dy.cg_checkpoint()
    b = a + 1
    dy.cg_checkpoint()
    c = b + 1
    assert c.value() == 3
    dy.cg_revert()
    assert b.value() == 2
    dy.cg_revert()
    for stale in (b, c):
        with pytest.raises(dy.StaleExpressionError):
            stale.value()
    assert (a + 5).value() == 6
    with pytest.raises(dy.ArgumentError, match="no checkpoint"):
        dy.cg_revert()


def test_operands_that_were_taken_back_are_noticed(model):
    a = dy.scalarInput(1)
    dy.cg_checkpoint()
    b = a + 1
    dy.cg_revert()
    for use in (lambda: dy.exp(b), lambda: a + b, lambda: dy.esum([a, b]), b.value, b.backward, b.gradient):
        with pytest.raises(dy.StaleExpressionError, match="cg_revert has removed"):
            use()
    assert (a.value(), dy.exp(a).value() > 2) == (1.0, True)
    dy.renew_cg()
    assert dy.scalarInput(2).value() == 2


def test_a_revert_frees_memory(model):
    x = dy.inputVector(np.ones(1000))
    dy.cg_checkpoint()
    chunks = dy.cg().engine.chunks
    allowed = max(1_000_000, sum(chunk.floats for chunk in chunks))  # buffers of an earlier graph may stay
    for _ in range(200):
        assert dy.sum_elems(dy.concatenate([x * 2.0] * 50)).value() == 100_000
        dy.cg_revert()
        dy.cg_checkpoint()
        assert sum(chunk.floats for chunk in chunks) <= allowed


def test_inputs_are_taken_back_and_can_be_set_again(model):
    x = dy.inputVector([1, 2])
    dy.cg_checkpoint()
    dy.sum_elems(x + dy.inputVector([3, 4])).value()
    dy.cg_revert()
    y = dy.sum_elems(x + dy.inputVector([5, 6]))
    assert y.value() == 14
    x.set([10, 20])
    assert y.value(recalculate=True) == 41


def test_an_input_that_was_taken_back_cannot_be_set(model):
    x = dy.inputVector([1, 2])
    dy.cg_checkpoint()
    lost = dy.inputVector([3, 4])
    dy.cg_revert()
    y = dy.inputVector([5, 6])
    for _ in range(2):
        with pytest.raises(dy.StaleExpressionError, match=r"^set: .*\(2,\).* cg_revert has removed"):
            lost.set([9, 9])
        assert (x.value(), y.value()) == ([1, 2], [5, 6])
    x.set([7, 8])
    assert (x.value(), y.value()) == ([7, 8], [5, 6])
    dy.renew_cg()
    z = dy.inputVector([1, 2])
    for gone in (lost, x):
        with pytest.raises(dy.StaleExpressionError, match=r"^set: .*\(2,\).* renew_cg has replaced"):
            gone.set([9, 9])
    assert z.value() == [1, 2]


def test_only_inputs_can_be_set(model):
    W = model.add_parameters(2, init=1.0)
    x = dy.inputVector([1, 2])
    y = dy.tanh(x)
    with pytest.raises(dy.ArgumentError, match=r"^set: expected an input or a lookup, got an expression of \(2,\)"):
        y.set([3, 4])
    for parameter in (W, dy.parameter(W, update=False)):
        with pytest.raises(
            dy.ArgumentError, match=r"^set: expected an input or a lookup, got Parameter /_0 \(2,\): set_value"
        ):
            parameter.set([3, 4])
    assert (x.value(), W.value()) == ([1, 2], [1, 1])


def test_setting_an_input_after_a_checkpoint(model):
    x = dy.inputVector([1, 2])
    y = x * 2.0
    dy.cg_checkpoint()
    z = dy.sum_elems(y)
    assert z.value() == 6
    x.set([3, 4])
    assert z.value() == 14
    dy.cg_revert()
    assert y.value() == [6, 8]


def test_a_recalculation_after_a_checkpoint(model):
    x = dy.inputVector([1, 2])
    y = x * 2.0
    dy.cg_checkpoint()
    z = dy.sum_elems(y)
    assert z.value() == 6
    x.set([3, 4])
    assert z.value(recalculate=True) == 14
    dy.cg_revert()
    assert y.value() == [6, 8]
    assert dy.sum_elems(y + 1).value() == 16


def test_a_network_is_continued_from_a_checkpoint(model):
    cell = dy.VanillaLSTMBuilder(1, 2, 3, model)
    state = cell.initial_state().add_input(dy.inputVector([1, 2]))
    before = state.output().value()
    dy.cg_checkpoint()
    first = state.add_input(dy.inputVector([3, 4])).output().value()
    dy.cg_revert()
    assert state.output().value() == before
    assert state.add_input(dy.inputVector([3, 4])).output().value() == first


def test_a_new_graph_has_no_checkpoint(model):
    dy.cg_checkpoint()
    dy.renew_cg()
    with pytest.raises(dy.ArgumentError):
        dy.cg_revert()


# Immediate and checked


def test_an_immediate_graph_computes_as_it_goes(model):
    dy.renew_cg(immediate_compute=True)
    E = model.add_lookup_parameters((3, 2), init=1)
    y = dy.tanh(dy.inputVector([1, 2]) + E[1] + dy.lookup_batch(E, [0, 2]))
    assert dy.cg().records.computed[0] == dy.cg().records.length
    dy.sum_batches(dy.sum_elems(y)).backward()
    assert E.grad_as_array()[1].all()
    dy.renew_cg()
    dy.tanh(dy.inputVector([1, 2]))
    assert dy.cg().records.computed[0] == 0


def test_an_immediate_graph_gives_the_same_numbers(model):
    cell = dy.BiRNNBuilder(1, 4, 6, model, dy.VanillaLSTMBuilder)
    inputs = np.random.default_rng(1).standard_normal((5, 4))
    values = []
    for immediate in (False, True):
        dy.renew_cg(immediate, immediate)
        outputs = cell.transduce([dy.inputVector(row) for row in inputs])
        values.append([output.npvalue() for output in outputs])
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)


def test_a_check_names_the_first_node_that_is_not_finite(model):
    W = model.parameters_from_numpy([[1, 2], [3, 4]])
    dy.renew_cg(check_validity=True)
    y = dy.log(W * dy.inputVector([-1, 1]) - 1)
    z = dy.sum_elems(y)
    with pytest.raises(
        dy.NotFiniteError, match=r"^log: node \d+ of graph \d+, \(2,\), holds -inf; its operands are \(2,\)$"
    ):
        z.value()
    dy.renew_cg(True, True)
    x = dy.inputVector([1, -1])
    with pytest.raises(dy.NotFiniteError, match="^log: "):
        dy.log(x)
    W.scale(5e37)
    with pytest.raises(dy.NotFiniteError, match=r"^\*: .* its operands are parameter /_0, \(2,\)$"):
        W * dy.inputVector([100, 1])
    dy.renew_cg()
    assert dy.log(dy.scalarInput(0)).value() == -np.inf


# The current graph


def test_versions_and_the_graph_of_a_thread(model):
    first = dy.cg_version()
    graph = dy.renew_cg()
    assert isinstance(graph, dy.ComputationGraph)
    assert graph is dy.cg()
    assert graph.version() == dy.cg_version() > first
    second = graph.version()
    assert graph.renew(immediate_compute=False, check_validity=False) is graph  # one per thread, as in DyNet
    assert graph.version() > second
    W = model.add_parameters(2)
    assert dy.cg().parameters(W) is W
    others = []
    thread = threading.Thread(target=lambda: others.append(dy.cg()))
    thread.start()
    thread.join()
    assert others[0] is not dy.cg()


def test_a_stale_expression_says_which_graph_it_belongs_to(model):
    x = dy.scalarInput(1)
    old = dy.cg_version()
    dy.renew_cg()
    for use in (x.value, lambda: x + 1, lambda: dy.exp(x), x.backward, x.gradient):
        with pytest.raises(dy.StaleExpressionError, match=f"graph {old}, .* graph is {dy.cg_version()}"):
            use()
    assert repr(x).startswith(f"expression 0/{old}")


# Pictures


@pytest.fixture
def drawn(model):
    W, E = model.add_parameters((2, 2)), model.add_lookup_parameters((3, 2), name="words")
    x = dy.inputVector([1, 2])
    dy.exp(dy.tanh(W * E[1]) + x)
    return W, E, x


def test_graphviz(drawn, capsys):
    dy.print_text_graphviz()
    text = capsys.readouterr().out
    assert text.startswith("digraph G {\n  rankdir=LR;\n") and text.endswith("}\n")
    labels = re.findall(r'label="(.*)"', text)
    assert labels == ["input {2}", "/words", "lookup 1 {2}", "/_0", "* {2}", "tanh {2}", "add {2}", "exp {2}"]
    assert re.findall(r"N(\d+) -> N(\d+)", text) == [
        ("1", "2"), ("3", "4"), ("2", "4"), ("4", "5"), ("5", "6"), ("0", "6"), ("6", "7"),
    ]  # fmt: skip
    W, E, x = drawn
    dy.print_graphviz(show_dims=False, expression_names={x: 'a "b"', W: "weights"}, lookup_names={E: ["a", "b", "c"]})
    labels = re.findall(r'label="(.*)"', capsys.readouterr().out)
    assert labels[:5] == [r"a \"b\"", "/words", "lookup b", "weights", "*"]


def test_notebooks_show_a_picture(drawn):
    graph = dy.cg()
    markdown = graph._repr_markdown_()
    assert markdown.startswith("```mermaid\nflowchart LR\n") and markdown.endswith("```\n")
    assert 'N1(["/words"])' in markdown and "N5 --> N6" in markdown
    picture = xml.etree.ElementTree.fromstring(graph._repr_svg_())
    kinds = [element.tag.partition("}")[2] for element in picture]
    assert (kinds.count("rect"), kinds.count("text"), kinds.count("path")) == (8, 8, 7)


def test_an_empty_graph_can_be_drawn(model):
    assert "svg" in dy.cg()._repr_svg_()
    assert dy.cg()._repr_markdown_() == "```mermaid\nflowchart LR\n```\n"


def test_a_large_network_can_be_drawn(model):
    cell = dy.BiRNNBuilder(2, 4, 6, model, dy.GRUBuilder)
    cell.transduce([dy.inputVector([1, 2, 3, 4])] * 10)
    xml.etree.ElementTree.fromstring(dy.cg()._repr_svg_())


# Lookup parameters as a whole


def test_a_lookup_table_is_an_operand_whose_gradient_is_dense(model):
    E = model.lookup_parameters_from_numpy(np.arange(6).reshape(3, 2))
    x = dy.inputVector([1, 1, 1])
    assert dy.parameter(E) is E
    y = dy.sum_elems(E * x) + dy.sum_elems(E[1])
    y.backward()
    assert E._storage.touched_list[-1]
    assert E.grad_as_array().tolist() == [[1, 1], [2, 2], [1, 1]]
    trainer = dy.SimpleSGDTrainer(model, 1.0)
    trainer.update()
    assert E.as_array().tolist() == [[-1, 0], [0, 1], [3, 4]]
    assert not E._storage.touched_list[-1]
    with pytest.warns(dy.DynetWarning, match="parameters have changed"):
        y.backward()  # the same graph again
    assert E._storage.touched_list[-1]
    trainer.update()
    assert E.as_array().tolist() == [[-2, -1], [-2, -1], [2, 3]]
    dy.renew_cg()
    dy.sum_elems(E[1]).backward()
    assert not E._storage.touched_list[-1]


def test_a_lookup_table_takes_part_without_being_trained(model):
    E = model.add_lookup_parameters((3, 2), init=1)
    W = model.add_parameters((2, 3), init=2)
    dy.sum_elems(dy.cmult(dy.parameter(E, update=False), W)).backward()
    assert not E.grad_as_array().any()
    assert W.grad_as_array().tolist() == [[1] * 3] * 2
    E.set_updated(False)
    dy.sum_elems(dy.cmult(E, W)).backward()
    assert not E.grad_as_array().any()


@pytest.mark.parametrize("name", ["AdamTrainer", "AmsgradTrainer", "MomentumSGDTrainer"])
def test_a_row_that_the_loss_does_not_depend_on_is_not_updated(model, name):
    E = model.add_lookup_parameters((2, 1), init=1)
    trainer = getattr(dy, name)(model)
    for used in (True, False):
        dy.renew_cg()
        rows = [E[0], E[1], dy.nobackprop(E[1])]
        dy.esum([dy.square(row) for row in (rows if used else rows[::2])]).backward()
        before = E.as_array()
        trainer.update()
        assert (E.as_array() != before).ravel().tolist() == [True, used]
