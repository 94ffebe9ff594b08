"""Which data the tape machine uploads to the GPU, and which it leaves in place."""

import numpy as np
import pytest

import dynet as dy
from dynet_core.compute import device
from dynet_kernels.cuda import machine
from dynet_kernels.machine import library
from dynet_ops.kinds import elementwise

X = [1.0, 2.0, 3.0]


@pytest.fixture(autouse=True)
def on_the_gpu(emulated):
    with device.using(0):
        yield


@pytest.fixture
def weight():
    return dy.ParameterCollection().parameters_from_numpy(np.arange(9).reshape(3, 3))


def graph(weight, x, layers=2):
    """The value of a small network."""
    dy.renew_cg()
    y = dy.inputVector(x)
    for _ in range(layers):
        y = dy.tanh(weight * y)
    return dy.sum_elems(y)


def uploaded(emulated, work):
    """The number of bytes that a function copies to the GPU, and its result."""
    before = emulated.emulated_bytes_uploaded()
    result = work()
    return emulated.emulated_bytes_uploaded() - before, result


def test_a_graph_that_repeats_uploads_its_inputs_alone(emulated, weight):
    def step(x):
        loss = graph(weight, x)
        loss.backward()
        return loss.value()

    step(X)
    again, value = uploaded(emulated, lambda: step(X))
    assert again == 4 * len(X)
    other, different = uploaded(emulated, lambda: step([0.0, 0.0, 0.1]))
    assert other == 4 * len(X) and different != value


def test_another_graph_uploads_its_addresses(emulated, weight):
    graph(weight, X).value()
    for layers in (3, 2, 3):
        count, value = uploaded(emulated, lambda layers=layers: graph(weight, X, layers).value())
        assert count > 4 * len(X)
        y = np.array(X)
        for _ in range(layers):
            y = np.tanh(np.arange(9).reshape(3, 3) @ y)
        assert value == pytest.approx(y.sum(), rel=1e-5)


def test_what_is_computed_from_another_loss_has_other_addresses(weight):
    """The forward plan stays the same."""
    for place in (0, 1, 0):
        dy.renew_cg()
        x = dy.inputVector(X)
        losses = [dy.sum_elems(x), dy.squared_norm(x)]
        losses[1].value()
        losses[place].backward(full=True)
        np.testing.assert_array_equal(x.gradient(), [[1, 1, 1], [2, 4, 6]][place])


def test_tables_whose_rows_are_noted_are_planned_anew():
    table = dy.ParameterCollection().lookup_parameters_from_numpy(np.eye(3))
    for row in (1, 1, 2):
        dy.renew_cg()
        dy.sum_elems(table[row]).backward()
    np.testing.assert_array_equal(table.grad_as_array(), [[0, 0, 0], [2, 2, 2], [1, 1, 1]])


def test_copies_of_what_has_not_been_used_for_long_are_given_back(emulated, weight, monkeypatch):
    monkeypatch.setattr(machine, "MOST_COPIES", 3)
    values = []
    for _ in range(5):
        with device.using(0):  # its own buffers
            values.append(graph(weight, X).value())
    assert len(device.machine_in_use()._copies) <= 3
    assert len(set(values)) == 1


def test_products_of_equal_columns():
    model = dy.ParameterCollection()
    draw = np.random.default_rng(2)
    W, b, E = draw.normal(size=(60, 50)), draw.normal(size=60), draw.normal(size=(3, 50))
    w, bias = model.parameters_from_numpy(W), model.parameters_from_numpy(b)
    table = model.lookup_parameters_from_numpy(E)
    words = [0, 1, 1, 2, 0, 1, 0, 1, 2, 1]
    dy.renew_cg()
    products = [dy.affine_transform([bias, w, table[word]]) for word in words]
    loss = dy.esum([(k + 1) * dy.sum_elems(y) for k, y in enumerate(products)])
    loss.backward()
    for y, word in zip(products, words):
        np.testing.assert_allclose(y.npvalue(), W @ E[word] + b, rtol=1e-4, atol=1e-5)
    share = np.array([sum(k + 1 for k, word in enumerate(words) if word == row) for row in range(3)])
    np.testing.assert_allclose(bias.grad_as_array(), np.full(60, share.sum()), rtol=1e-5)
    np.testing.assert_allclose(w.grad_as_array(), np.tile(share @ E, (60, 1)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(table.grad_as_array(), np.outer(share, W.sum(0)), rtol=1e-4, atol=1e-4)


def test_separate_gradients_of_parameters():
    """They come from a pass with addresses different from the previous pass, and do not affect the next pass."""
    weight = dy.ParameterCollection().parameters_from_numpy(np.ones((3, 3)))
    dy.renew_cg()
    loss = dy.squared_norm(dy.tanh(weight * dy.inputVector([0.1, 0.2, 0.3])))
    for times in (1, 2):
        loss.backward()
        total = weight.grad_as_array()
        np.testing.assert_allclose(weight.gradient(), total / times, rtol=1e-6)
        np.testing.assert_array_equal(weight.grad_as_array(), total)


def test_gradients_of_parts_and_values_of_earlier_parameters():
    model = dy.ParameterCollection()
    table, weight = model.lookup_parameters_from_numpy(np.eye(3)), model.parameters_from_numpy(np.ones((3, 3)))
    dy.renew_cg()
    x, y = table[1], table[1]
    h = dy.tanh(weight * x) + 2 * y
    loss = dy.squared_norm(h) + h[0]
    loss.backward()
    expected = [p.grad_as_array() for p in (table, weight)]
    parts = x.gradient() + y.gradient()
    np.testing.assert_allclose(parts, expected[0][1], rtol=1e-6)
    for p, gradient in zip((table, weight), expected):
        np.testing.assert_array_equal(p.grad_as_array(), gradient)
        p.scale_gradient(0)
    np.testing.assert_allclose(weight.gradient(), expected[1], rtol=1e-6)
    np.testing.assert_allclose(table.gradient(), expected[0].T, rtol=1e-6)
    weight.scale(0.5)
    with pytest.warns(dy.DynetWarning, match="parameters have changed"):
        loss.backward()
    found = weight.grad_as_array()
    weight.scale_gradient(0)
    dy.renew_cg()
    h = dy.tanh(weight * table[1]) + 2 * table[1]
    (dy.squared_norm(h) + h[0]).backward()
    np.testing.assert_array_equal(found, weight.grad_as_array())


def test_only_graphs_with_a_kernel_that_cannot_be_compiled_fail(weight, monkeypatch):
    @elementwise(reference=lambda x: x * x + 5)
    def broken_on_a_gpu(x: dy.Expression) -> dy.Expression:
        return x * x + 5.0

    real, tried = library.load_modules, []

    def load_modules(parts, *rest, **named):
        if not any(isinstance(part, machine.Source) and "broken_on_a_gpu" in part.name for part in parts):
            return real(parts, *rest, **named)
        tried.append(parts)
        return [library.CompileError("on purpose")] * len(parts)

    monkeypatch.setattr(library, "load_modules", load_modules)
    expected = graph(weight, X).value()
    y = broken_on_a_gpu(dy.inputVector(X))
    for _ in range(2):
        with pytest.raises(library.CompileError, match="on purpose"):
            y.value()
    assert len(tried) == 2
    assert graph(weight, X).value() == expected
    assert len(tried) == 2
    monkeypatch.undo()
    y = broken_on_a_gpu(dy.inputVector(X))
    assert y.value() == [6.0, 9.0, 14.0]
    dy.sum_elems(y).backward()
    assert graph(weight, X).value() == expected


def test_new_sizes_functions_and_structures(weight):
    """Calls that are repeated, and signatures from patterns, give the same values as on the CPU."""
    table = dy.ParameterCollection().lookup_parameters_from_numpy(np.arange(12).reshape(4, 3) / 10)

    @dy.function
    def cell(x, states):
        h = dy.tanh(weight * dy.esum([x, *[h for h, _ in states]]) * 0.1)
        return h, dy.dot_product(h, x)

    @dy.function
    def loss(h, label, factor):
        return dy.pickneglogsoftmax(h, label) * factor

    def values(count):
        dy.renew_cg()
        xs = [table[k % 4] for k in range(count)]
        states = dy.transduce(cell, xs, heads=[(k - 1) // 2 for k in range(count)])
        losses = [loss(h, k % 3, k + 0.5) for k, (h, _) in enumerate(states)]
        wide = dy.concatenate_cols([h for h, _ in states])
        total = dy.esum([*losses, dy.sum_elems(dy.tanh(dy.cmult(wide, wide)))])
        total.backward()
        gradient = weight.grad_as_array()
        weight.scale_gradient(0)
        return total.value(), gradient

    found = [values(count) for count in range(1, 12)]
    with device.using(None):
        weight = dy.ParameterCollection().parameters_from_numpy(np.arange(9).reshape(3, 3))
        table = dy.ParameterCollection().lookup_parameters_from_numpy(np.arange(12).reshape(4, 3) / 10)
        for count, (value, gradient) in zip(range(1, 12), found):
            expected, expected_gradient = values(count)
            assert value == pytest.approx(expected, rel=1e-5)
            np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
