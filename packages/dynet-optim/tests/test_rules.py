"""The update rule of each trainer, against its equations in float64."""

import numpy as np
import pytest
from trainer_models import Model, set_gradient, without_gradients
from trainer_reference import Reference

from dynet_core import ArgumentTypeError, ParameterCollection
from dynet_kernels import formula
from dynet_optim import (
    AdadeltaTrainer,
    AdamTrainer,
    AmsgradTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
    Trainer,
)
from dynet_optim.registry import TRAINERS
from dynet_optim.rule import update

CASES = {
    f"{name} {', '.join(f'{key} {value}' for key, value in settings.items())}".strip(): (trainer, settings)
    for name, trainer in TRAINERS.items()
    for settings in trainer.settings
}
RATES = (
    "e0",
    "alpha",
    "learning_rate",
    "e0_min",
    "e0_max",
    "step_size",
    "gamma",
)  # settings that determine the learning rate
SIZES = (1.0, 0.01, 3.0, 1e-6, 0.1, 1e3, 0.2)  # sizes of gradients, one per update; some are clipped


def reference_of(trainer, model, settings, **options):
    others = {name: value for name, value in settings.items() if name not in RATES}
    values = model.values()
    registered = TRAINERS[trainer.whoami()]
    return Reference(registered, others, lambda: trainer.learning_rate, values[:7], values[7:], **options)


def assert_equal_steps(model, trainer, expected, sizes=SIZES, s=1.0):
    start = model.values()
    for size in sizes:
        gradients, touched = model.draw_gradients(size)
        expected.update(gradients, touched, s)
        trainer.update(s) if s != 1.0 else trainer.update()
    for before, value, wanted in zip(start, model.values(), expected.values):
        assert value == pytest.approx(wanted, rel=2e-6, abs=2e-6 * max(np.abs(wanted - before).max(), 0.1))
    assert all(not gradient.any() for gradient in model.gradients())


@pytest.mark.parametrize("s", [1.0, 0.25, 30.0, -2.0])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_equations(case, dense, s):
    registered, settings = CASES[case]
    model = Model()
    trainer = registered.kind(model.collection, **settings)
    trainer.set_sparse_updates(not dense)
    expected = reference_of(trainer, model, settings, dense=dense)
    assert_equal_steps(model, trainer, expected, s=s)
    assert 0 < expected.clips < len(SIZES)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 0.01, 100.0, float("inf")])
def test_clip_threshold(threshold, capsys):
    model = Model()
    trainer = SimpleSGDTrainer(model.collection)
    trainer.set_clip_threshold(threshold)
    expected = reference_of(trainer, model, {}, threshold=threshold)
    assert_equal_steps(model, trainer, expected, sizes=(1.0, 1e-3, 100.0))
    trainer.status()
    assert f"clips={expected.clips} " in capsys.readouterr().err


def test_fifty_updates_stay_together():
    model = Model()
    trainer = AdamTrainer(model.collection, alpha=0.01)
    expected = reference_of(trainer, model, {"alpha": 0.01})
    assert_equal_steps(model, trainer, expected, sizes=(0.1,) * 50)


@without_gradients
@pytest.mark.parametrize(
    "trainer_type, settings",
    [
        (MomentumSGDTrainer, {}),
        (AdadeltaTrainer, {"rho": 0.9}),
        (RMSPropTrainer, {}),
        (AdamTrainer, {"beta_2": 0.9}),
        (AmsgradTrainer, {"beta_2": 0.9}),
    ],
)
def test_averages_of_gradients_that_are_zero_become_zero(trainer_type, settings):
    """They would get stuck at denormal values, where an update takes twenty times as long."""
    model = Model()
    trainer = trainer_type(model.collection, **settings)
    trainer.set_sparse_updates(False)
    model.draw_gradients(1.0)
    for _ in range(900):
        trainer.update()
    states = np.concatenate([state.array for kept in trainer._table.state_blocks.values() for state in kept])
    smallest = np.finfo(np.float32).smallest_normal
    assert not ((states != 0) & (np.abs(states) < smallest)).any()
    if trainer_type in (MomentumSGDTrainer, RMSPropTrainer):
        assert not states.any()


def test_norm_of_a_large_model_is_accurate():
    model = Model(shapes=[(1 << 22,)], tables=[])
    set_gradient(model.parameters[0], np.full(1 << 22, 0.1))
    trainer = SimpleSGDTrainer(model.collection)
    norm = float(np.float32(0.1)) * 2**11
    assert trainer._table.prepared().squared_norm(0) == pytest.approx(norm**2, rel=1e-10)


def test_large_gradients_are_clipped_not_refused():
    model = Model(shapes=[(3,)], tables=[])
    start = model.values()[0]
    trainer = SimpleSGDTrainer(model.collection, 1.0)
    set_gradient(model.parameters[0], [3e38, 0, -3e38])
    trainer.update()
    step = 5 / np.sqrt(2)
    assert model.values()[0] - start == pytest.approx(np.array([-step, 0, step]), rel=1e-5)


@without_gradients
def test_whole_table_once():
    """A table with a dense gradient is updated as a whole, once."""
    model = Model(shapes=[], tables=[(6, 3)])
    (table,) = model.tables
    trainer = AdamTrainer(model.collection)
    gradient = model.normal((6, 3))
    before = table.as_array()
    table._storage.gradient.array[:] = gradient.ravel()
    table._storage.touched_list[-1] = True
    trainer.update()
    assert not table._storage.touched_list[-1]
    assert table.as_array() == pytest.approx(before - 0.001 * np.sign(gradient), abs=1e-6)
    before = table.as_array()
    trainer.update()
    assert np.array_equal(table.as_array(), before), "no row was used"


def own_trainer(function):
    class Own(Trainer):
        rule = update(function)

    m = ParameterCollection()
    return Own(m, 0.25, 0.0), m.parameters_from_numpy(np.array([1.0, -2.0]))


def test_a_trainer_is_one_function():
    def falling(p, g, seen, rate, scale, power):
        seen = seen + 1
        return {"seen": seen, "p": p - g * scale * rate / formula.power(seen, power)}

    trainer, p = own_trainer(falling)
    with pytest.raises(AttributeError, match="no attribute '_power'"):
        trainer.update()
    trainer._power = 1.0
    for _ in range(2):
        set_gradient(p, np.ones(2, np.float32))
        trainer.update(2)
    assert p.as_array().tolist() == [0.25, -2.75]  # 1/4 twice, then its half twice


@pytest.mark.parametrize("result", ["p - g * rate", "None", "(p, g)"])
def test_a_rule_that_returns_no_dict_is_refused(result):
    with pytest.raises(TypeError, match=r"^<lambda> must return a dict, such as {'p': p - rate \* g}, not "):
        update(eval(f"lambda p, g, rate: {result}"))


@pytest.mark.parametrize("name", ["decay", "numbers", "checked"])
def test_a_number_of_a_rule_may_not_hide_a_method(name):
    rule = update(eval(f"lambda p, g, rate, {name}: {{'p': p - g * rate * {name}}}"))
    with pytest.raises(TypeError, match=f"^Hiding: its number '{name}' would hide Trainer._{name}; rename it$"):
        type("Hiding", (Trainer,), {"rule": rule})
    type("Counting", (Trainer,), {"rule": update(lambda p, g, rate, updates: {"p": p - g * rate / updates})})
    type("Reading", (Trainer,), {"rule": rule, "_numbers": lambda self, scale: (self._rate * scale, 1.0)})


@pytest.mark.parametrize("rule", [{}, {"rule": lambda p, g, rate: {"p": p}}, {"rule": "sgd"}])
def test_a_trainer_needs_a_rule(rule):
    with pytest.raises(
        ArgumentTypeError, match="^Ruleless: its class needs `rule`, made by @update of dynet_optim.rule"
    ):
        type("Ruleless", (Trainer,), rule)(ParameterCollection(), 0.1, 0.0)


@pytest.mark.parametrize("parameters", ["g, p, rate", "p, g, rate, v", "p, g, rate", "p, rate", ""])
def test_functions_that_are_no_rules_are_refused(parameters):
    function = eval(f"lambda {parameters}: {{'p': 1.0, 'v': 2.0}}")
    with pytest.raises(
        ValueError, match=f"^<lambda> takes {parameters} and returns p, v: it must take p, g, the states"
    ):
        update(function)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda p, g, rate: {"p": p - rate * formula.sum(g)},
            "f.sum is over a column, but a rule works on each element",
        ),
        (
            lambda p, g, rate: {"p": p - rate * formula.position * g},
            "f.position is over a column, but a rule works on each",
        ),
        (lambda p, g, rate, eps=1e-3: {"p": p - rate * g * eps}, "eps=0.001: a rule's numbers have no defaults"),
    ],
)
def test_rules_that_no_kernel_can_compute_are_refused(function, message):
    with pytest.raises(ValueError, match=f"^<lambda>: {message}"):
        update(function)


def step_of_own(factor):
    class RunAgain(Trainer):
        @update
        def rule(p, g, rate):
            return {"p": p - factor * rate * g}

    model = ParameterCollection()
    p = model.add_parameters(1, init=1.0)
    trainer = RunAgain(model, 0.25, 0.0)
    set_gradient(p, np.ones(1))
    trainer.update()
    return p.as_array().item()


def test_a_trainer_that_is_run_again_is_defined_anew():
    """For example when a notebook cell is edited and run again."""
    assert [step_of_own(factor) for factor in (1.0, 2.0, 1.0)] == [0.75, 0.5, 0.75]
