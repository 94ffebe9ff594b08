"""The records of a decorated function become one record, a cell, that computes the same."""

import itertools
import threading

import numpy as np
import pytest

import dynet_core as dynet
import dynet_ops as dy
from dynet_core import recorder
from dynet_core.graph import function_cells
from dynet_core.graph.graph import current
from dynet_core.graph.nodes import decoded

pytestmark = pytest.mark.skipif(not recorder.HAS_TEMPLATES, reason="the Python recorder runs functions undecorated")
SIZE = 5


class Model:
    def __init__(self):
        dynet.reset_random_seed(3)
        self.parameters = dynet.ParameterCollection()
        self.W, self.U = self.parameters.add_parameters((SIZE, SIZE)), self.parameters.add_parameters((SIZE, SIZE))
        self.b, self.table = self.parameters.add_parameters(SIZE), self.parameters.add_lookup_parameters((4, SIZE))
        self.gates = [self.parameters.add_parameters(shape) for shape in ((4 * SIZE, SIZE), (4 * SIZE, SIZE), 4 * SIZE)]

    def gated(self, x, y):
        z = dy.logistic(dy.affine_transform([self.b, self.W, x, self.U, y]))
        return y + dy.cmult(z, dy.tanh(x) - y)

    def lstm(self, x, y):
        W, U, b = self.gates
        gates = dy.affine_transform([b, W, x, U, y])
        i, f, o, g = (dy.pick_range(gates, k * SIZE, (k + 1) * SIZE) for k in range(4))
        c = dy.cmult(dy.logistic(f), y) + dy.cmult(dy.logistic(i), dy.tanh(g))
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c

    def dead_code(self, x, y):
        kept = dy.cmult(x, dy.tanh(y))
        _ = self.W * dy.cmult(kept, y) + dy.tanh(kept)
        return dy.square(kept)

    def no_gradient(self, x, y):
        z = dy.affine_transform([self.b, self.W, dy.tanh(x), self.U, y])
        return dy.cmult(dy.argmax(z, gradient_mode="zero_gradient"), y), dy.tanh(y) * 2


# name -> (the function, how many cells each call has)
BODIES = {
    "gated": (Model.gated, 1),
    "sections of a value": (Model.lstm, 2),
    "records that no result needs": (Model.dead_code, 1),
    "a step without gradients": (Model.no_gradient, 0),
    "numbers": (lambda self, x, y: (1 - dy.logistic(x)) * 0.5 + dy.cmult(x, y) / 3, 1),
    "random": (lambda self, x, y: dy.dropout(dy.tanh(x), 0.5) + dy.noise(y, 0.1), 1),
    "softmax": (lambda self, x, y: dy.cmult(dy.softmax(x + y), dy.log_softmax(dy.tanh(x))), 1),
    "element": (lambda self, x, y: dy.tanh(dy.cmult(x, y))[2] * 3.0, 1),
    "loss": (
        lambda self, x, y: dy.pickneglogsoftmax(dy.affine_transform([self.b, self.W, dy.tanh(x), self.U, y]), 1),
        1,
    ),
    "norms": (lambda self, x, y: dy.layer_norm(x + y, self.b, self.b) + dy.squared_norm(dy.tanh(x)), 1),
    "reshaped": (lambda self, x, y: dy.reshape(dy.cmult(dy.tanh(x), y), (1, SIZE)), 1),
    "matrices": (lambda self, x, y: dy.tanh(x) * dy.transpose(dy.tanh(y)), 0),
    "several results": (lambda self, x, y: [(z := dy.tanh(x + y)), z * 2, dy.tanh(z), z[1], x], 3),
    "records before": (lambda self, x, y: dy.tanh(self.table[1] + dy.cmult(dy.concatenate([x[:2], y[2:]]), y)), 1),
    "sums of lists before": (lambda self, x, y: dy.tanh(dy.esum([x, y, x])) * 2, 1),
    "the same matrix twice": (lambda self, x, y: dy.tanh(self.W * dy.tanh(x)) + self.W * dy.tanh(y), 0),
    "sums of lists": (lambda self, x, y: dy.tanh(dy.esum([dy.tanh(x), y, x])), 0),
    "one record": (lambda self, x, y: dy.cmult(x, y), 0),
    "no record": (lambda self, x, y: x, 0),
}


def cell_count():
    records = current().records
    return sum(record.op_name == "cell" for record in decoded(records, 0, records.ends()[0]))


def computed(model, function, full=False):
    """Return the results of five calls, some on results of others, and all gradients; and the number of cells."""
    dynet.renew_cg()
    dynet.reset_random_seed(5)
    vectors = [dy.inputVector(np.linspace(-1, 1, SIZE) * k + 0.1) for k in (0.5, 1, -1)] + [model.table[2]]
    results = []
    for x, y in itertools.chain(zip(vectors, vectors[1:]), [(vectors[0], vectors[3]), (vectors[3], vectors[1])]):
        found = function(model, x, y)
        results += found if isinstance(found, (tuple, list)) else [found]
    if results[0].dim() == ((SIZE,), 1):
        more = function(model, results[0], results[-1] if results[-1].dim() == ((SIZE,), 1) else x)
        results += more if isinstance(more, (tuple, list)) else [more]
    loss = dy.esum([dy.sum_elems(dy.cmult(x, x)) for x in results])
    loss.value()
    loss.backward(full)
    found = [x.npvalue() for x in results]
    if full:
        found += [x.gradient() for x in [*vectors[:3], *results]]
    for p in (*model.parameters.parameters_list(), *model.parameters.lookup_parameters_list()):
        found.append(p.grad_as_array())
        p.scale_gradient(0)
    return found, cell_count()


@pytest.fixture(params=["sets", "adds"])
def can_set(request, monkeypatch):
    """Whether steps can overwrite gradients, or must clear them first, as on a GPU."""
    if request.param == "adds":
        monkeypatch.setattr(function_cells, "gpu_in_use", lambda: "a GPU")


@pytest.mark.parametrize("full", [False, True], ids=["parameters", "full"])
@pytest.mark.parametrize("name", BODIES)
def test_a_cell_computes_what_its_records_would(name, full, can_set):
    body, cells_per_call = BODIES[name]
    model, function = Model(), dynet.function(body)
    expected, _ = computed(model, body, full)
    computed(model, function, full)  # records the kinds of calls
    for _ in range(2):
        found, count = computed(model, function, full)
        calls = 6 if expected[0].shape == (SIZE,) else 5
        assert count == calls * cells_per_call
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_frozen_parameters_of_a_cell_get_no_gradient():
    model, function = Model(), dynet.function(Model.gated)
    computed(model, function)
    model.W.set_updated(False)
    expected, found = computed(model, Model.gated)[0], computed(model, function)[0]
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_a_cell_is_computed_in_several_passes_and_again_after_a_revert():
    model, function = Model(), dynet.function(Model.lstm)
    x, y = dy.inputVector([0.1] * SIZE), dy.inputVector([0.2] * SIZE)
    expected = [r.npvalue() for r in model.lstm(*model.lstm(x, y))]
    function(model, x, y)
    dynet.renew_cg()
    x, y = dy.inputVector([0.1] * SIZE), dy.inputVector([0.2] * SIZE)
    h, c = function(model, x, y)
    h.value()
    for _ in range(2):
        dynet.cg_checkpoint()
        results = function(model, h, c)
        np.testing.assert_allclose([r.npvalue() for r in results], expected, rtol=1e-6)
        dy.sum_elems(results[0]).backward()
        dynet.cg_revert()
    assert cell_count() == 2


def test_the_gradients_of_hidden_values_are_not_those_of_the_pass_before():
    """Memory of values is reused without being cleared."""
    model, function = Model(), dynet.function(Model.dead_code)
    expected = computed(model, Model.dead_code)[0]
    for scale in (1e30, 1.0):
        dynet.renew_cg()
        vectors = [dy.inputVector([scale] * SIZE) for _ in range(40)]
        dy.esum([dy.sum_elems(x * scale) for x in vectors]).backward()
        for a, b in zip(expected, computed(model, function)[0], strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_threads_compute_the_same_cells():
    model, function, found = Model(), dynet.function(Model.lstm), []

    def run():
        dynet.renew_cg()
        h = c = dy.inputVector([0.1] * SIZE)
        for _ in range(9):
            h, c = function(model, h, c)
        found.append(h.npvalue())

    for _ in range(3):
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    np.testing.assert_allclose(found, [found[0]] * 6, rtol=1e-6)


def test_the_plan_shows_a_cell(capsys):
    model, function = Model(), dynet.function(Model.gated)
    computed(model, function)
    computed(model, function)
    dynet.show_plan()
    plan = capsys.readouterr().out
    assert "cell  " in plan and "sets the gradient of a value inside" in plan


def gradients_of(function, parameters, index, full):
    """Return all gradients if the loss is one of a function's results. Some values have infinite derivatives."""
    p, table = parameters
    dynet.renew_cg()
    x = dy.inputVector([0.1, 0.2, 0.3])
    results = function(p, x, table[1], table[2])
    dy.sum_elems(results[index]).backward(full)
    found = [node.gradient() for node in (x, *results)] + [p.grad_as_array(), table.grad_as_array()]
    found.append(touched_rows(table))
    for one in parameters:
        one._storage.set_gradient(None)
    return found


def touched_rows(table):
    """Return which rows a trainer would update."""
    storage = table._storage
    return [bool(flag) for flag in storage.touched_list[1 + table.rows : 1 + 2 * table.rows]]


def several_results(p, x, row, other):
    h, s = p * 2.0, dy.tanh(x) + row
    return dy.tanh(h), dy.sqrt(h), dy.square(s) + other, s, h[1], dy.reshape(h + s, (1, 3))


def gradient_is_stopped(p, x, row, other):
    return dy.cmult(dy.argmax(row * 2.0, gradient_mode="zero_gradient"), dy.tanh(other)), dy.tanh(dy.square(p))


def alias_used_inside(p, x, row, other):
    h = dy.reshape(dy.tanh(p + x), (1, 3))
    return dy.square(h), h


@pytest.mark.parametrize("full", [False, True], ids=["parameters", "full"])
@pytest.mark.parametrize(
    ("body", "index"),
    [(several_results, k) for k in range(6)]
    + [(body, k) for body in (alias_used_inside, gradient_is_stopped) for k in range(2)],
)
def test_what_a_loss_does_not_use_gets_no_gradient(body, index, full, can_set):
    """Not even 0: the product of 0 and an infinite derivative would be NaN, and trainers change rows that are used."""
    function, collection = dynet.function(body), dynet.ParameterCollection()
    parameters = collection.parameters_from_numpy(np.array([0.0, 1, 2])), collection.add_lookup_parameters((3, 3))
    for _ in range(3):
        expected = gradients_of(body, parameters, index, full)
        found = gradients_of(function, parameters, index, full)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
    assert (cell_count() > 0) == (body is several_results)
