"""Matrix products whose factors are rounded to bfloat16, by instructions of the CPU and emulated."""

import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest

import dynet as dy
from dynet_core.compute import device
from dynet_kernels import target
from dynet_kernels.families.products import precision
from dynet_kernels.machine import sharing
from dynet_kernels.target import bfloat16_of_host
from dynet_optim import parallel

FOUND, REASON = bfloat16_of_host()
HAS_INSTRUCTIONS = FOUND is not None
WAYS = [
    pytest.param(True, marks=pytest.mark.skipif(not HAS_INSTRUCTIONS, reason=REASON), id="instructions"),
    pytest.param(
        "vectors",
        marks=pytest.mark.skipif(FOUND != precision.AMX, reason=REASON or "without AMX, `instructions` are these"),
    ),
    "emulate",
]
SMALLEST, LARGEST = 2.0**-126, float(np.finfo(np.float32).max)  # the smallest normal number


@pytest.fixture(params=WAYS)
def bf16(request, monkeypatch):
    if request.param == "vectors":  # by VDPBF16PS, although this CPU has AMX
        monkeypatch.setattr(target, "bfloat16_of_host", lambda: (precision.AVX512, ""))
    with device.using(None, bf16="emulate" if request.param == "emulate" else True):
        yield request.param


def rounded(x):
    """Round to eight bits of precision, to the nearest, ties to even; subnormal numbers to 0."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    result = ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isnan(x), x, np.where(np.abs(x) < SMALLEST, x * 0, result)).astype(np.float64)


def assert_near(found, expected, terms):
    """Check sums of rounded terms: only the float32 additions may differ."""
    scale = np.abs(expected).max(initial=1e-30)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.sqrt(max(terms, 1)) * scale)


SIZES = [
    (1, 1, 1), (2, 3, 2), (16, 16, 4), (16, 16, 5), (17, 31, 16), (33, 64, 33), (128, 128, 1), (128, 127, 7),
    (65, 257, 48), (65, 257, 3), (130, 300, 2), (97, 259, 15), (50, 300, 130), (7, 520, 9), (300, 9, 70), (1, 400, 64),
    (400, 1, 64), (40, 30, 600),
]  # fmt: skip


@pytest.mark.parametrize("is_parameter", [False, True])
@pytest.mark.parametrize("rows, inner, columns", SIZES)
def test_products_and_gradients(bf16, rows, inner, columns, is_parameter):
    rng = np.random.default_rng(rows)
    w, x, d = (rng.normal(size=shape).astype("f") for shape in ((rows, inner), (inner, columns), (rows, columns)))
    start = rng.normal(size=rows).astype("f")
    dy.renew_cg()
    parameter = dy.ParameterCollection().parameters_from_numpy(w)  # has a copy
    W, b = parameter if is_parameter else dy.inputTensor(w), dy.inputTensor(start)
    xs = [dy.inputTensor(column) for column in x.T]  # one node for each column, batched automatically
    ys = [dy.affine_transform([b, W, column]) for column in xs]
    loss = dy.esum([dy.dot_product(y, dy.inputTensor(weights)) for y, weights in zip(ys, d.T)])
    loss.backward(full=True)
    a, c, e = rounded(w), rounded(x), rounded(d)
    assert_near(np.stack([y.npvalue() for y in ys], 1), a @ c + start[:, None], inner)
    gradient = parameter.grad_as_array() if is_parameter else W.gradient().reshape(w.shape)
    assert_near(gradient, e @ c.T, columns)
    assert_near(np.stack([column.gradient() for column in xs], 1), a.T @ e, rows)


def product_of(rng):
    """Return a random product: its name, its operands, and functions that compute it by this library and by numpy."""
    i, k, j, n = (rng.randrange(1, 40) for _ in range(4))
    images = (rng.randrange(3, 9), rng.randrange(3, 9), rng.randrange(1, 4))
    filters = (2, 3, images[2], rng.randrange(1, 5))

    def convolved(x, f):
        windows = np.lib.stride_tricks.sliding_window_view(x, filters[:2], (0, 1))
        return np.einsum("rckij,ijko->rco", windows, f)

    return rng.choice([
        ("*", [(i, k), (k, j)], lambda a, b: a * b, lambda a, b: a @ b),
        ("matmul", [(i, k), (k, j)], lambda a, b: dy.matmul(a, b), lambda a, b: a @ b),
        ("affine", [(i,), (i, k), (k,)], lambda *a: dy.affine_transform(a), None),
        ("conv2d", [images, filters], lambda a, b: dy.conv2d(a, b, [1, 1]), convolved),
        ("filter1d", [(i, k + 4), (i, 3, n)], dy.filter1d_narrow, lambda x, f: np.stack(
            [sum(f[:, t, o] @ x[:, t : t + k + 2] for t in range(3)) for o in range(n)])),
        ("contract", [(i, j, k), (k,), (i, j)], dy.contract3d_1d_bias, None),
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_each_kind_of_product(bf16, seed):
    rng, values = random.Random(seed), np.random.default_rng(seed)
    name, shapes, ours, reference = product_of(rng)
    arrays = [values.normal(size=shape).astype("f") for shape in shapes]
    if name == "affine":
        reference = lambda b, w, x: arrays[0] + w @ x  # noqa: E731
    elif name == "contract":
        reference = lambda t, x, b: np.einsum("ijk,k->ij", t, x) + arrays[2]  # noqa: E731
    dy.renew_cg()
    found = ours(*map(dy.inputTensor, arrays)).npvalue()
    expected = reference(*map(rounded, arrays))
    assert_near(found.reshape(expected.shape), expected, 200)


class Ours:
    """Computes a random program by this library, with one parameter for each array of `weights`."""

    def __init__(self, weights):
        dy.renew_cg()
        model = dy.ParameterCollection()
        self.weights = [model.parameters_from_numpy(w) for w in weights]
        self.input, self.tanh, self.add, self.multiply = dy.inputTensor, dy.tanh, dy.Expression.__add__, dy.cmult
        self.product, self.outer = (lambda w, x: w * x), (lambda x, y: x * dy.transpose(y))

    def gradients(self, values, factors):
        dy.esum([dy.dot_product(y, dy.inputTensor(d)) for y, d in zip(values, factors)]).backward()
        return [w.grad_as_array() for w in self.weights]


class Variable:
    """An array of float32s that numpy computes, with what adds to the gradients of the arrays that it depends on."""

    def __init__(self, value, spread=lambda d: None):
        self.value, self.spread = np.asarray(value, "f"), spread
        self.gradient = np.zeros(self.value.shape)

    def npvalue(self):
        return self.value


class Reference:
    """Computes a random program by numpy, with products whose factors are rounded."""

    def __init__(self, weights):
        self.tape = []
        self.weights = [self.input(w) for w in weights]

    def _add(self, value, spread=lambda d: None):
        self.tape.append(Variable(value, spread))
        return self.tape[-1]

    def input(self, value):
        return self._add(value)

    def tanh(self, x):
        y = np.tanh(x.value)

        def spread(d):
            x.gradient += d * (1 - y * y)

        return self._add(y, spread)

    def add(self, x, y):
        def spread(d):
            x.gradient += d
            y.gradient += d

        return self._add(x.value + y.value, spread)

    def multiply(self, x, y):
        def spread(d):
            x.gradient += d * y.value
            y.gradient += d * x.value

        return self._add(x.value * y.value, spread)

    def product(self, w, x):
        a, b = rounded(w.value), rounded(x.value)

        def spread(d):
            w.gradient += (rounded(d).reshape(len(a), -1) @ b.reshape(a.shape[1], -1).T).reshape(a.shape)
            x.gradient += a.T @ rounded(d)

        return self._add(a @ b, spread)

    def outer(self, x, y):
        a, b = rounded(x.value), rounded(y.value)

        def spread(d):
            x.gradient += rounded(d) @ b
            y.gradient += rounded(d).T @ a

        return self._add(np.outer(a, b), spread)

    def gradients(self, values, factors):
        for y, d in zip(values, factors):
            y.gradient += d
        for variable in reversed(self.tape):
            variable.spread(variable.gradient.astype("f"))
        return [w.gradient for w in self.weights]


def run_program(way, seed):
    """Run a random program, for some examples, by one of the classes above. Return values and gradients."""
    dice, rng = random.Random(seed), np.random.default_rng(seed)
    size = dice.choice([1, 3, 16, 17, 24, 33, 40])
    weights = [rng.normal(size=(size, size)).astype("f") / np.float32(size**0.5) for _ in range(3)]
    steps = [(dice.randrange(6), *(dice.randrange(100) for _ in range(3))) for _ in range(dice.randrange(3, 12))]
    compute, outputs = way(weights), []
    for _ in range(dice.choice([1, 2, 5, 12])):
        nodes = [compute.input(rng.normal(size=size).astype("f")) for _ in range(2)]
        for kind, i, j, k in steps:
            x, y, w = nodes[i % len(nodes)], nodes[j % len(nodes)], compute.weights[k % 3]
            if kind < 3:
                nodes.append(compute.tanh(compute.product(w, x)))
            elif kind == 3:
                nodes.append(compute.tanh(compute.product(compute.outer(x, y), nodes[k % len(nodes)])))
            else:
                nodes.append(compute.tanh((compute.add, compute.multiply)[kind - 4](x, y)))
        outputs.append(nodes[-1])
    factors = rng.normal(size=(len(outputs), size)).astype("f")
    values = [y.npvalue() for y in outputs]
    return [np.stack(values), *compute.gradients(outputs, factors)]


@pytest.mark.few(each=5)
@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_random_graphs(bf16, first):
    errors = []
    for seed in range(first, first + 100):
        found, expected = run_program(Ours, seed), run_program(Reference, seed)
        scales = [np.abs(e).max() + 1e-6 for e in expected]
        errors.append(max(np.abs(f - e).max() / scale for f, e, scale in zip(found, expected, scales)))
    # Values of tanh that differ in the last bit may round to neighbours, which are 2 ** -8 apart. This is rare.
    assert max(errors) < 0.02
    assert np.quantile(errors, 0.9) < 1e-6


def test_only_products_are_rounded(bf16):
    x = np.float32(1 + 2.0**-12)
    dy.renew_cg()
    a = dy.inputTensor([x, x])
    assert dy.dot_product(a, dy.inputTensor([1, 0])).value() == x
    assert dy.squared_norm(a).value() == pytest.approx(2 * x * x, rel=1e-7)
    assert dy.cmult(a, a).npvalue()[0] == np.float32(x * x)
    assert (dy.inputTensor([[1.0]]) * dy.inputTensor([[x]])).value() == 1


UNUSUAL = [  # a factor, and how it is rounded
    (np.nan, np.nan), (np.inf, np.inf), (-np.inf, -np.inf), (LARGEST, np.inf), (-LARGEST, -np.inf),
    (1e-39, 0), (SMALLEST, SMALLEST), (1 + 2**-8, 1), (1 + 3 * 2**-8, 1 + 2**-6), (0.0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("columns", [1, 4, 64])
def test_numbers_that_are_not_usual(bf16, columns):
    w = np.ones((16, 16), "f")
    for value, expected in UNUSUAL:
        x = np.zeros((16, columns), "f")
        x[3, -1] = value
        dy.renew_cg()
        y = (dy.inputTensor(w) * dy.inputTensor(x)).npvalue().reshape(16, columns)
        np.testing.assert_array_equal(y[:, -1], np.full(16, expected, "f"))
        assert not y[:, :-1].any()


@pytest.mark.parametrize("columns", [1, 2, 3, 64])
@pytest.mark.parametrize("rows, inner", [(17, 15), (40, 33), (64, 257)])
def test_unusual_numbers_of_a_parameter(bf16, rows, inner, columns):
    """The last number of W changes nothing but the last number of each y and dx."""
    W = dy.ParameterCollection().add_parameters((rows, inner))
    for value, expected in UNUSUAL:
        w = np.zeros((rows, inner), "f")
        w[-1, -1] = value
        W.set_value(w)
        dy.renew_cg()
        xs = [dy.inputTensor(np.ones(inner)) for _ in range(columns)]
        ys = [W * x for x in xs]
        dy.esum([dy.sum_elems(y) for y in ys]).backward(full=True)
        for found in (*(y.npvalue() for y in ys), *(x.gradient() for x in xs)):
            assert not found[:-1].any()
            np.testing.assert_array_equal(found[-1], np.float32(expected))


def test_a_value_does_not_depend_on_other_columns(bf16):
    """Each column is rounded, however many there are, and whether threads share the work."""
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=(96, 200)).astype("f"), rng.normal(size=(200, 700)).astype("f")
    expected = rounded(w) @ rounded(x)
    for count in (1, 2, 4, 5, 8, 33, 700):
        dy.renew_cg()
        assert_near(
            (dy.inputTensor(w) * dy.inputTensor(x[:, :count])).npvalue().reshape(96, -1), expected[:, :count], 200
        )


def trained(threads):
    """Train a network for some steps. Return all values and gradients."""
    with sharing.using(threads, 0, 0):
        model, rng = dy.ParameterCollection(), np.random.default_rng(2)
        W = [model.parameters_from_numpy(rng.normal(size=shape).astype("f") / 8) for shape in ((70, 60), (60, 70))]
        trainer, found = dy.AdamTrainer(model), []
        for _ in range(3):
            dy.renew_cg()
            xs = [dy.inputTensor(rng.normal(size=60).astype("f")) for _ in range(90)]
            loss = dy.esum([dy.squared_norm(dy.tanh(W[1] * dy.tanh(W[0] * x))) for x in xs])
            loss.backward()
            found += [loss.npvalue(), *(w.grad_as_array() for w in W)]
            trainer.update()
        return found


def test_threads_do_not_change_a_bit(bf16):
    for one, shared in zip(trained(1), trained(3), strict=True):
        np.testing.assert_array_equal(one, shared)


STRANGE = [np.nan, np.inf, -np.inf, LARGEST, 1e-39, -1e-39, SMALLEST, 1 + 2**-8, 1 + 3 * 2**-8, -0.0, 3.1415927]


def changes_of(model, W):
    """Yield after each way to change a parameter."""
    rng = np.random.default_rng(5)
    W.set_value(rng.normal(size=(40, 30)))
    yield "set_value"
    W.zero()
    yield "zero"
    W.set_value(np.resize(STRANGE, (40, 30)))
    yield "strange numbers"
    W.set_value(rng.normal(size=(40, 30)))
    W.clip_inplace(-0.5, 0.4)
    yield "clip_inplace"
    W.scale(0.3)
    yield "scale"
    for make in (dy.SimpleSGDTrainer, dy.AdamTrainer, dy.AdagradTrainer):
        trainer = make(model)
        dy.renew_cg()
        dy.squared_norm(W * dy.inputTensor(rng.normal(size=30))).backward()
        trainer.update()
        yield make.__name__


def test_products_see_every_change_of_a_parameter(bf16):
    """Products with few columns read a rounded copy of a parameter."""
    model = dy.ParameterCollection()
    W = model.add_parameters((40, 30))
    x = np.random.default_rng(3).normal(size=(30, 50)).astype("f")
    for change in changes_of(model, W):
        for fixed in (False, True):
            dy.renew_cg()
            w = dy.const_parameter(W) if fixed else W
            found = [(w * dy.inputTensor(column)).npvalue() for column in x.T[:2]]
            many = (w * dy.inputTensor(x)).npvalue()
            with np.errstate(invalid="ignore"):
                expected = rounded(W.as_array()) @ rounded(x)
            np.testing.assert_allclose(np.stack(found, 1), expected[:, :2], rtol=1e-4, atol=1e-5, err_msg=change)
            np.testing.assert_allclose(many, expected, rtol=1e-4, atol=1e-5, err_msg=change)


@pytest.mark.parametrize("share", [np.asarray, np.from_dlpack, lambda p: np.array(p, copy=None)])
def test_memory_that_is_shared_is_read(bf16, share):
    """Nobody tells when the program writes to the memory of a parameter, so its rounded copy is not used any more."""
    W = dy.Model().add_parameters((40, 30))
    assert (W * dy.ones(30)).npvalue().any()
    view, x = share(W), dy.inputTensor(np.eye(30, 1))
    for k in range(3):
        (view if view.flags.writeable else np.asarray(W))[:, 0] = k + 1 + 2**-12
        dy.renew_cg()
        x = dy.inputTensor(np.eye(30, 1))
        np.testing.assert_array_equal((W * x).npvalue().ravel(), np.full(40, k + 1, "f"))
    W.set_value(np.zeros((40, 30)))
    assert not (W * dy.inputTensor(np.eye(30, 1))).npvalue().any()


def near_copy(W):
    """Return whether products of one column read the values that W has now, rounded."""
    with np.errstate(invalid="ignore"):
        expected = rounded(W.as_array())[:, 0]
    dy.renew_cg()
    return np.array_equal((W * dy.inputTensor(np.eye(W.shape()[1])[0])).npvalue().ravel(), expected)


def test_values_from_another_process_are_rounded(bf16):
    class Ranks:
        rank = 1

        def Bcast(self, packed):  # noqa: N802
            packed[:] = 1.001

    W = dy.Model().add_parameters((40, 30))
    parallel.broadcast(Ranks(), [W._storage.values])
    assert near_copy(W) and W.as_array()[0, 0] == np.float32(1.001)


@pytest.mark.skipif(not HAS_INSTRUCTIONS, reason="only instructions read copies")
@pytest.mark.parametrize("change", ["set_value", "scale", "clip_inplace"])
def test_interrupts_leave_no_old_copy(change):
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    with device.using(None, bf16=True):
        W, values = dy.Model().add_parameters((300, 200)), [np.full((300, 200), n, "f") for n in (1.001, 2.003)]
        make = {
            "set_value": lambda k: W.set_value(values[k % 2]),
            "scale": lambda k: W.scale((3, 1 / 3)[k % 2]),
            "clip_inplace": lambda k: W.clip_inplace(-0.1 / (k % 9 + 1), 0.1),
        }[change]
        before = signal.signal(signal.SIGALRM, stop)
        stopped = 0
        try:
            for trial in range(40):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 5e-4 + trial * 2e-5)
                    for k in range(10**6):
                        make(k)
                except Stop:
                    stopped += 1
                assert near_copy(W)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert stopped == 40


@pytest.mark.skipif(not HAS_INSTRUCTIONS, reason="only instructions read copies")
def test_training_goes_on_after_a_change_of_precision():
    with device.using(None, bf16=True):
        model = dy.ParameterCollection()
        W, table = model.add_parameters((40, 30)), model.add_lookup_parameters((5, 30))
        trainer = dy.SimpleSGDTrainer(model, 0.01)
        trainer.set_clip_threshold(0)

        def step():
            dy.renew_cg()
            dy.squared_norm(W * table[2]).backward()
            before, gradient = table.as_array()[2], table.grad_as_array()[2]
            trainer.update()
            np.testing.assert_allclose(table.as_array()[2], before - 0.01 * gradient, rtol=1e-5, atol=1e-7)
            assert not table.grad_as_array().any()

        step()
        dy.renew_cg()
        dy.squared_norm(W * table[2]).backward()
        with device.using(None):
            pass
        before, gradient = table.as_array()[2], table.grad_as_array()[2]
        trainer.update()
        np.testing.assert_allclose(table.as_array()[2], before - 0.01 * gradient, rtol=1e-5, atol=1e-7)
        with device.using(None):
            step()
            x = np.eye(30)[0]
            assert np.array_equal((W * dy.inputTensor(x)).npvalue(), W.as_array()[:, 0])
        assert near_copy(W)
        step()
    step()


def test_the_gradient_of_few_columns_reads_the_copy(bf16):
    model = dy.ParameterCollection()
    W, rng = model.add_parameters((40, 30)), np.random.default_rng(4)
    for count in (1, 2, 50):
        dy.renew_cg()
        xs, d = [dy.inputTensor(rng.normal(size=30)) for _ in range(count)], rng.normal(size=(40, count)).astype("f")
        dy.esum([dy.dot_product(W * x, dy.inputTensor(column)) for x, column in zip(xs, d.T)]).backward(full=True)
        expected = rounded(W.as_array()).T @ rounded(d)
        assert_near(np.stack([x.gradient() for x in xs], 1), expected, 40)


PROGRAM = """
import sys
{before}
import dynet as dy
x = dy.inputTensor([1 + 2.0**-12])
print((dy.inputTensor([[1.0]]) * x).value())
"""
BY_CONFIG = "import dynet_config; dynet_config.set(bf16={})"


def run(before, *flags, **environment):
    command = [sys.executable, "-c", PROGRAM.format(before=before), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


def test_a_program_asks_for_it():
    assert run(BY_CONFIG.format("'emulate'")).stdout == run("", "--dynet-bf16=emulate").stdout == "1.0\n"
    assert "--dynet-bf16 takes no value, or 'emulate', got '0'" in run("", "--dynet-bf16=0").stderr
    assert run(BY_CONFIG.format("False")).stdout == "1.000244140625\n"
    asked = [run("", "--dynet-bf16"), run(BY_CONFIG.format("True"))]
    if HAS_INSTRUCTIONS:
        assert [done.stdout for done in asked] == ["1.0\n"] * 2
    else:
        assert all("DeviceError: bfloat16 was asked for, but this CPU has no instr" in done.stderr for done in asked)


def test_general_code_is_refused():
    done = run("", "--dynet-bf16", DYNET_CPU="generic")
    assert "DYNET_CPU is 'generic': code for this kind of CPU has no instructions for it" in done.stderr
    assert "bf16='emulate' or --dynet-bf16=emulate rounds the same way and multiplies in float32, slowly" in done.stderr


def test_a_cpu_without_instructions_is_refused(monkeypatch):
    monkeypatch.setattr(target, "bfloat16_of_host", lambda: (None, "this CPU has none"))
    with pytest.raises(
        dy.DeviceError, match="bfloat16 was asked for, but this CPU has none; bf16='emulate' or --dynet-bf16=emul"
    ):
        with device.using(None, bf16=True):
            pass
    assert (dy.inputTensor([[1.0]]) * dy.inputTensor([1 + 2.0**-12])).value() == 1 + 2.0**-12


def test_settings_that_are_refused():
    params = dy.DynetParams()
    for wrong in ("emulated", 2, None, "1"):
        with pytest.raises(dy.ArgumentError, match="set_bf16: expected True, False or 'emulate', got"):
            params.set_bf16(wrong)
    params.set_bf16("emulate")
    for asked, expected in (("emulate", 1), (False, 1 + 2.0**-12)):
        params.set_bf16(asked)
        params.init()
        assert (dy.inputTensor([[1.0]]) * dy.inputTensor([1 + 2.0**-12])).value() == expected
    params.set_bf16(True)
    params.set_tf32(True)
    with pytest.raises(dy.ArgumentError, match="rounded to TF32 or to bfloat16, and both were asked for"):
        params.init()


def test_values_after_a_change_of_precision():
    x = np.float32(1 + 2.0**-12)
    W = dy.Model().parameters_from_numpy(np.array([[x]], "f"))
    for bf16, expected in (("emulate", 1), (False, x), ("emulate", 1)):
        with device.using(None, bf16=bf16):
            assert (W * dy.inputTensor([1.0])).value() == expected
    assert (W * dy.inputTensor([1.0])).value() == x


def test_the_plan_and_the_profile_say_how_products_round(bf16, capsys):
    dy.renew_cg()
    y = dy.sum_elems(dy.Model().parameters_from_numpy(np.ones((4, 6))) * dy.inputTensor(np.ones(6)))
    dy.show_plan(y)
    with dy.profile() as profile:
        y.backward()
    for text in (capsys.readouterr().out, str(profile)):
        assert "product, bfloat16" in text and "product.dW, bfloat16" in text
        assert "sum" in text and "sum, bfloat16" not in text
