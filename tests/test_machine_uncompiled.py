"""Passes run by plain Python functions on real graphs, planned by compiled code, give the same values."""

import numpy as np
import pytest

import dynet as dy
from dynet_core.compute.device import machine_in_use
from dynet_core.graph import current
from dynet_core.recorder import next_generation
from dynet_kernels import layout as at
from dynet_kernels.machine import library, modules, planner, sharing, team
from dynet_kernels.plan.nodes import Context

NAMES = [name for name in at.CONTEXT if name not in ("result_type", "result")]


@pytest.fixture
def uncompiled(monkeypatch):
    """Replace the machine's compiled functions by Python, except pure planning. Yields the names of those that ran."""
    compiled_machine, ran = machine_in_use(), []
    monkeypatch.setattr(compiled_machine, "is_watched", True)
    monkeypatch.setattr(modules, "FUNCTIONS_BY_HANDLE", {one.__chandle__(): one for one in library._shard_functions})

    def counted(name, function):
        return lambda *given: ran.append(name) or function(*given)

    for name in library.PASS_NAMES:
        monkeypatch.setattr(planner.PLAN_FUNCTIONS[name], "python_function", getattr(compiled_machine, f"plan_{name}"))
        monkeypatch.setattr(compiled_machine, name, counted(name, planner.pass_function(name, True)))
    together = counted("norm_and_update", planner.norm_and_update)
    monkeypatch.setattr(compiled_machine, "norm_and_update", together)
    next_generation()
    yield ran
    monkeypatch.undo()
    next_generation()


def train(trainer, clip: float) -> list[np.ndarray]:
    dy.reset_random_seed(5)
    draw = np.random.default_rng(2)
    model = dy.ParameterCollection()
    E, W = model.add_lookup_parameters((60, 12)), model.add_parameters((7, 40))
    rnn = dy.BiRNNBuilder(1, 12, 40, model, dy.VanillaLSTMBuilder)
    made = trainer(model)
    made.set_clip_threshold(clip)
    found = []
    for _ in range(6):
        dy.renew_cg()
        words = draw.integers(0, 60, draw.integers(2, 9)).tolist()
        states = rnn.transduce([E[word] for word in words])
        loss = dy.esum([dy.pickneglogsoftmax(W * dy.dropout(h, 0.2), w % 7) for h, w in zip(states, words)])
        found.append(np.array(loss.value()))
        loss.backward()
        made.update()
    return found + [p.as_array() for p in (*model.parameters_list(), *model.lookup_parameters_list())]


@pytest.mark.parametrize("trainer", [dy.SimpleSGDTrainer, dy.AdamTrainer])
@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_training_is_the_same(trainer, clip, request):
    expected = train(trainer, clip)
    train(trainer, clip)  # loads all kernels
    ran = request.getfixturevalue("uncompiled")
    found = train(trainer, clip)
    assert {"forward", "backward", "norm_and_update"} <= set(ran) and ("update" in ran) == (clip > 0)
    assert all(np.array_equal(one, other) for one, other in zip(expected, found))


def graph(width: int):
    dy.renew_cg()
    x = dy.inputTensor(np.linspace(-1, 1, width * 9).reshape(width, 9), batched=True)
    h = dy.tanh(dy.cmult(x, dy.rectify(x + 1)))
    return dy.sum_batches(dy.squared_norm(h) + dy.sum_elems(x))


@pytest.mark.parametrize("width", [3, 50])
def test_a_tape_run_again_leaves_the_same_integers(width, monkeypatch):
    loss = graph(width)
    expected = loss.value()
    engine = current().engine
    monkeypatch.setattr(modules, "FUNCTIONS_BY_HANDLE", {one.__chandle__(): one for one in library._shard_functions})
    slots, threads = engine.slots, engine.buffers["threads"]
    context, found = Context(engine.context_address), []
    for run in (machine_in_use().run, planner.run):
        threads[:] = 7
        slots[at.CONTEXT.row] = 77
        run(engine.context_address)
        found.append(([getattr(context, name) for name in NAMES], threads.tolist()))
    assert found[0] == found[1] and context.row == context.tape_count > 1
    assert loss.value() == expected


def test_whether_a_backward_pass_is_expected():
    W = dy.ParameterCollection().add_parameters((4, 4))
    for depth in range(2):  # a graph different from the last one, so that it is planned again
        dy.renew_cg()
        h = dy.inputVector([1, 2, 3, 4])
        for _ in range(depth):
            h = dy.tanh(W * h)
        loss = dy.squared_norm(W * h)
        loss.value()
        address = current().engine.context_address
        if depth:
            assert team.should_plan_ahead(address)
        loss.backward()
        assert not team.should_plan_ahead(address)  # there is a plan


def test_settings_of_this_thread_are_found():
    graph(3).value()
    assert Context(current().engine.context_address).sharing == sharing.address()
