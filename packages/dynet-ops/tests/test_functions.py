"""`dy.function`: calls of a decorated function record what the undecorated function would record."""

import collections
import dataclasses
import enum
import functools
import gc
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import weakref

import numpy as np
import pytest
from op_checks import python_calls

import dynet as dy
from dynet_core import recorder
from dynet_core.graph import current, functions, numbers

pytestmark = pytest.mark.skipif(not recorder.HAS_TEMPLATES, reason="the Python recorder runs functions undecorated")
SIZE = 3


def records():
    """Return all records and input values of the graph."""
    graph = current()
    return graph.records.integers(), graph.records.floats(0, graph.records.inputs_length).tobytes()


# ---------------------------------------------------------------------------------------------------- random functions

# Each line defines {new} from earlier vectors {x} and {y}. Arguments: v, w (vectors), i (an index), n (an int), c (a
# float), words (a list of ints), more (a dict). Variables around the function: self, weights, factor, flags, helper.
LINES = (
    "{new} = dy.tanh({x})",
    "{new} = {x} + {y}",
    "{new} = dy.cmult({x}, {y}) - {x}",
    "{new} = weights[0] * {x}",
    "{new} = dy.affine_transform([bias, weights[1], {x}, self.W, {y}])",
    "{new} = {x} * c",
    "{new} = {x} + c",
    "{new} = {x} - c",
    "{new} = c - {x}",
    "{new} = {x} * n",
    "{new} = {x} * (2 * c)",
    "{new} = {x} * factor",
    "{new} = {x} * self.scale",
    "{new} = table[i]",
    "{new} = dy.lookup(table, i, update=False)",
    "{new} = table[i + 1] + {x}",
    "{new} = table[words[0]]",
    "{new} = dy.esum([table[word] for word in words])",
    "{new} = dy.average([table[word] * {x}[0] for word in words])",
    "{new} = {x} * {y}[i]",
    "{new} = {x} * {y}[-1]",
    "{new} = dy.dropout({x}, self.rate)",
    "{new} = dy.noise({x}, 0.1)",
    "{new} = dy.softmax({x} * more['scale'])",
    "{new} = {x} * dy.pickneglogsoftmax({y}, i)",
    "{new} = dy.inputVector([c, n, 1.0]) + {x}",
    "{new} = dy.scalarInput(c) * {x}",
    "{new} = helper({x}, c)",
    "{new}, _ = pair({x}, {y}, n)",
    "{new} = self.method({x}, i)",
    "{new} = dy.zeros(3) + {x}",
    "{new} = lstm.initial_state().add_input({x}).output()",
    "{new} = lstm.initial_state().transduce([{x}, {y}])[-1]",
    "if n > 2:\n    {new} = {x} + {y}\nelse:\n    {new} = dy.rectify({x})",
    "{new} = {x}\nfor k in range(n):\n    {new} = dy.tanh({new}) + {y}",
    "{new} = {y} if flags['on'] else {x}",
    "{new} = {x} if more['mode'] == 'a' else -{x}",
    "if c > 1.5 and flags['raises']:\n    raise ValueError('c')\n{new} = {x}",
    "{new} = dy.concatenate([{x}, {y}])[1:4]",
    "{new} = nothing or {x}",
)
RESULTS = (
    "{x}",
    "{x}, {y}",
    "[{x}, n, 'text']",
    "{{'loss': dy.sum_elems({x}), 'both': ({x}, {y}, v), 'c': c}}",
    "v",
    "{x}, c",
)


class Model:
    """The variables around a random function, for an undecorated and a decorated copy of it."""

    def __init__(self):
        self.parameters = dy.ParameterCollection()
        self.W, bias, *weights = [self.parameters.add_parameters(dim) for dim in [(3, 3), 3, (3, 3), (3, 3)]]
        self.scale, self.rate, self.flags, self.weights = 0.5, 0.0, {"on": True, "raises": False}, weights
        self.lstm = dy.VanillaLSTMBuilder(1, 3, 3, self.parameters)
        table = self.parameters.add_lookup_parameters((9, 3))
        self.names = [
            dict(
                dy=dy, weights=weights, bias=bias, table=table, factor=1.5, flags=self.flags, self=self, nothing=None,
                lstm=self.lstm, helper=decorate(lambda x, c: dy.tanh(x) * c), pair=decorate(pair),
            )
            for decorate in (lambda f: f, dy.function)
        ]  # fmt: skip

    def method(self, x, i):
        return dy.cmult(x, self.W * x) * self.scale + x[i]

    def functions(self, text):
        for names in self.names:
            exec(text, names)
        return self.names[0]["f"], dy.function(self.names[1]["f"])

    def change(self, rng):
        """Change one of the things that the function may read."""
        kind, on, factor = rng.randrange(10), rng.random() < 0.5, rng.choice([1.5, -1.0])
        if kind == 0:
            self.scale = rng.choice([0.5, 2.0, 0.25])
        elif kind == 1:
            self.rate = rng.choice([0.0, 0.5])
        elif kind == 2:
            for names in self.names:
                names["factor"] = factor
        elif kind in (3, 4):
            self.flags["on" if kind == 3 else "raises"] = on
        elif kind == 5:
            self.weights.reverse()
        elif kind == 6:
            self.W.set_updated(on)
        elif kind == 7:
            self.lstm.set_dropouts(*rng.choice([(0.0, 0.0), (0.5, 0.0), (0.2, 0.3)]))
        elif kind == 8:
            self.flags["more"] = factor


def pair(x, y, n):
    return (x + y if n % 2 else dy.cmult(x, y)), n


def text_of_function(rng):
    vectors, lines = ["v", "w"], []
    for k in range(rng.randrange(1, 7)):
        x, y = rng.choice(vectors), rng.choice(vectors)
        lines.append(rng.choice(LINES).format(new=f"x{k}", x=x, y=y))
        vectors.append(f"x{k}")
    result = rng.choice(RESULTS).format(x=vectors[-1], y=rng.choice(vectors))
    body = textwrap.indent("\n".join([*lines, f"return {result}"]), "    ")
    return f"def f(v, w, i, n, c=2.0, words=(1, 2), more={{'scale': 1.0, 'mode': 'a'}}):\n{body}\n"


def arguments_of(rng):
    given = {"i": rng.randrange(3), "n": rng.randrange(4)}
    if rng.random() < 0.8:
        given["c"] = rng.choice([0.5, 1.0, 2.5, rng.random()])
    if rng.random() < 0.7:
        given["words"] = [rng.randrange(9) for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.3:
        given["more"] = {"scale": rng.choice([1.0, 3.0]), "mode": rng.choice("ab")}
    return given


def expressions_in(result):
    if isinstance(result, dy.Expression):
        return [result]
    items = result.values() if isinstance(result, dict) else result if isinstance(result, (list, tuple)) else []
    return [x for item in items for x in expressions_in(item)]


def plain(result):
    """Return a result with the numbers of nodes in place of expressions."""
    if isinstance(result, dy.Expression):
        return "node", result.at if result.at >= 0 else result.type.dims
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    return type(result)(map(plain, result)) if isinstance(result, (list, tuple)) else result


def outcome(function, given, seed, mode):
    """Call a function in a new graph. Return what was recorded and computed."""
    dy.reset_random_seed(seed)
    dy.renew_cg(check_validity=mode == 1)
    v, w = dy.inputVector([0.1, 0.2, 0.3]), dy.inputVector([-1, 0.5, 2])
    if mode == 2:
        dy.cg_checkpoint()
    results = []
    for _ in range(2):
        try:
            results.append(function(v, v if mode == 3 else w, **given))
        except ValueError as error:
            results.append(str(error))
    before = records()
    expressions = expressions_in(results)
    loss = dy.esum([dy.sum_elems(x) for x in expressions]) if expressions else v[0]
    values = [x.npvalue() for x in expressions]
    loss.backward()
    return before, plain(results), values


@pytest.fixture
def no_cells(monkeypatch):
    """Let functions repeat their records one by one."""
    monkeypatch.setattr(functions, "with_cells", lambda *arguments: arguments)


@pytest.mark.parametrize("seed", range(150))
def test_a_random_function_records_what_it_would_undecorated(seed, no_cells):
    check_random_function(seed, has_cells=False)


@pytest.mark.parametrize("seed", range(150))
def test_a_random_function_computes_what_it_would_undecorated(seed):
    check_random_function(seed)


@pytest.mark.parametrize("seed", range(150, 190))
def test_calls_of_random_functions_record_the_same_as_the_first_of_their_kind(seed, monkeypatch):
    monkeypatch.setattr(functions, "CHECKS_ALL", True)
    check_random_function(seed)


@pytest.mark.thorough
@pytest.mark.parametrize("first", range(150, 1150, 50))
def test_many_random_functions_compute_what_they_would_undecorated(first):
    for seed in range(first, first + 50):
        check_random_function(seed)


def check_random_function(seed, has_cells=True):
    rng, model = random.Random(seed), Model()
    text = text_of_function(rng)
    plain_and_decorated = model.functions(text)
    for step in range(12):
        given, mode = arguments_of(rng), rng.choice([0, 0, 0, 1, 2, 3])
        model.change(rng)
        outcomes = []
        for function in plain_and_decorated:
            outcomes.append(outcome(function, given, step, mode))
            outcomes[-1] += ([p.grad_as_array() for p in model.parameters.parameters_list()],)
            for p in model.parameters.parameters_list():
                p.scale_gradient(0)
        old, new = outcomes
        # After a checkpoint, networks record sequences step by step, but kinds known before do not.
        is_equal = not has_cells and mode != 2
        if is_equal:
            assert new[:2] == old[:2], (text, given)
        for a, b in zip(sum(old[2:], []), sum(new[2:], []), strict=True):
            tolerance = {"rtol": 0} if is_equal else {"rtol": 1e-5, "atol": 1e-6}
            np.testing.assert_allclose(a, b, **tolerance, err_msg=f"{text} {given}")


# ---------------------------------------------------------------------------------------------- single behaviours


def run_count(function, *calls):
    """Call a function with each of these arguments in a new graph. Return how often its body has run."""
    runs = 0

    def profile(frame, event, argument):
        nonlocal runs
        runs += event == "call" and frame.f_code is function.__code__

    sys.setprofile(profile)
    try:
        for arguments in calls:
            dy.renew_cg()
            function(*[x() if callable(x) else x for x in arguments])
    finally:
        sys.setprofile(None)
    return runs


def vector():
    return dy.inputVector([0.1, -0.2, 0.3])


@pytest.fixture
def W():
    return dy.ParameterCollection().add_parameters((3, 3))


def test_a_number_that_only_operations_use_is_an_input(W):
    @dy.function
    def f(x, c, i, words):
        return (W * x * c)[i] + dy.scalarInput(c) + dy.esum([x[word] for word in words])

    calls = [(vector, 0.1 * k, k % 3, [k % 3, (k + 1) % 3]) for k in range(1, 20)]
    assert run_count(f, *calls) == 1
    x = vector()
    assert f(x, 2.0, 1, [0, 1]).value() == pytest.approx((W * x)[1].value() * 2 + 2 + 0.1 - 0.2)


@pytest.mark.parametrize(
    "body",
    [
        lambda x, n: x * 2 if n > 2.5 else x,
        lambda x, n: dy.esum([x for _ in range(n)]),
        lambda x, n: x * {1: 2.0}.get(n, 3.0),
        lambda x, n: x * len("a" * n),
        lambda x, n: x * float(f"{n}"),
        lambda x, n: x * (n // 2),
        lambda x, n: x if n == 2 else x + x,
        lambda x, n: dy.zeros(n)[0] + x,
        lambda x, n: x if n else x * 2,
        lambda x, n: x * int(n),
        lambda x, n: x * [1, 2, 3, 4, 5][n],
        lambda x, n: x * math.sqrt(n),
        lambda x, n: x * np.float32(n),
        lambda x, n: x * hash(n),
        lambda x, n: x * (n**2 + n % 3 - (-n)),
    ],
)
def test_a_number_whose_value_python_asks_for_is_part_of_the_kind(body):
    f = dy.function(body)
    assert run_count(f, *[(vector, k) for k in (1, 2, 3, 4)] * 3) in (4, 5)  # once more until it is known
    x = vector()
    for k in (1, 2, 3, 4):
        assert f(x, k).npvalue().tolist() == body(x, k).npvalue().tolist()


def test_a_number_out_of_range_raises_the_error_of_the_operation(W):
    @dy.function
    def f(x, i):
        return dy.pickneglogsoftmax(W * x, i)

    for k in (0, 1, 2):
        assert f(vector(), k).value() > 0
    for k in (3, -1, 10**30):
        with pytest.raises(dy.OutOfRangeError, match="pickneglogsoftmax"):
            f(vector(), k)
    assert run_count(f, (vector, 0), (vector, 2)) == 0

    @dy.function
    def g(x, i, c):
        return x[i] * c

    assert [g(vector(), k, 2.0).value() for k in (0, 1, -1, 2, -2)] == pytest.approx([0.2, -0.4, 0.6, 0.6, -0.4])
    assert g(vector(), 0, math.inf).value() == math.inf and math.isnan(g(vector(), 0, math.nan).value())
    with pytest.raises(dy.DynetError, match="float"):
        g(vector(), 0, 10**400)


def test_kinds_are_limited():
    @dy.function(kinds=3)
    def f(x, n):
        return x * n if n else x

    with pytest.warns(dy.DynetWarning, match="f: calls of 3 kinds") as caught:
        found = [f(vector(), n).npvalue()[0] for n in range(1, 9)]
    assert found == pytest.approx([0.1 * n for n in range(1, 9)]) and len(caught) == 1
    assert caught[0].filename == __file__


class Layer:
    def __init__(self, scale):
        self.W, self.scale, self.bias = dy.ParameterCollection().add_parameters((3, 3)), scale, None

    @dy.function
    def __call__(self, x):
        """Apply the layer."""
        y = self.W * x * self.scale
        return y if self.bias is None else y + self.bias

    @dy.function
    def named(self, x, *, factor=1.0, **others):
        return self(x) * factor * others.get("more", 1.0)


def test_methods_and_attributes():
    layers, x = [Layer(1.0), Layer(2.0)], vector()
    for _ in range(3):
        for layer in layers:
            expected = (layer.W * x).npvalue() * layer.scale
            np.testing.assert_allclose(layer(x).npvalue(), expected, rtol=1e-6)
            np.testing.assert_allclose(layer.named(x, factor=3, more=2.0).npvalue(), expected * 6, rtol=1e-6)
            layer.scale += 1
    layers[0].bias = dy.ParameterCollection().add_parameters(3, init=1.0)
    np.testing.assert_allclose(layers[0](x).npvalue(), (layers[0].W * x).npvalue() * layers[0].scale + 1, rtol=1e-6)
    assert Layer.__call__.__doc__ == "Apply the layer." and Layer.named.__name__ == "named"
    assert run_count(Layer.__call__, *[(lambda: layers[1], vector)] * 4) == 1


def test_objects_are_not_kept_alive():
    for k in range(50):
        layer, x = Layer(float(k)), vector()
        assert np.array_equal(layer(x).npvalue(), layer(x).npvalue())
        np.testing.assert_allclose(layer(x).npvalue(), (layer.W * x).npvalue() * k, rtol=1e-5)
        reference = weakref.ref(layer)
        del layer
        gc.collect()
        assert reference() is None


def test_results_and_arguments_of_all_forms(W):
    Pair = collections.namedtuple("Pair", "a b")

    @dy.function
    def f(pair, more, *rest, key="k"):
        h = W * pair.a * more["c"][0]
        return {"h": h, "rest": [*rest, (h, None, "text")], "pair": Pair(pair.b, 2), key: more["c"]}, pair.a, True

    for k in range(4):
        dy.renew_cg()
        x, y = vector(), vector() * 2
        found, again, flag = f(Pair(x, y), {"c": [k + 0.5, "s"]}, 1, key="other")
        np.testing.assert_allclose(found["h"].npvalue(), (W * x).npvalue() * (k + 0.5), rtol=1e-6)
        assert found["rest"][0] == 1 and found["rest"][1][1:] == (None, "text") and found["pair"].b == 2
        assert found["rest"][1][0].at == found["h"].at and found["pair"].a.at == y.at and again.at == x.at
        assert found["other"] == [k + 0.5, "s"] and flag is True and list(found) == ["h", "rest", "pair", "other"]
    assert dy.function(lambda: W)() is W and dy.function(lambda x: None)(vector()) is None
    assert dy.function(lambda x, n: (x, n))(vector(), 7)[1] == 7 and dy.function(lambda: [])() == []


def test_nested_and_recursive_functions(W):
    @dy.function
    def inner(x, c):
        return dy.tanh(W * x) * c

    @dy.function
    def outer(x, c):
        return inner(inner(x, c), 2.0)

    @dy.function
    def tree(node):
        return dy.tanh(W * (tree(node[0]) + tree(node[1]))) if isinstance(node, tuple) else node

    def plain_tree(node):
        return dy.tanh(W * (plain_tree(node[0]) + plain_tree(node[1]))) if isinstance(node, tuple) else node

    for c in (0.5, 1.5, 2.5):
        dy.renew_cg()
        x = vector()
        expected = dy.tanh(W * (dy.tanh(W * x) * c)) * 2
        assert np.array_equal(outer(x, c).npvalue(), expected.npvalue())
        for node in [x, (x, x), ((x, x * 2), x), (x, (x, (x, x * 3)))]:
            assert np.array_equal(tree(node).npvalue(), plain_tree(node).npvalue())


def test_equal_arguments_are_told_apart():
    @dy.function
    def f(a, b):
        return a * 2 + dy.cmult(b, b)

    for _ in range(3):
        x, y = vector(), vector() * 3
        for a, b in [(x, x), (x, y), (y, x), (y, y)]:
            np.testing.assert_allclose(f(a, b).npvalue(), a.npvalue() * 2 + b.npvalue() ** 2, rtol=1e-6)
    if recorder.HAS_TEMPLATES and not functions.CHECKS_ALL:
        for a, b in [(x, x), (x, y), (x, x), (y, x)]:  # compiled code repeats both kinds
            assert python_calls(f, a, b) == []


def test_parameters_as_arguments(W):
    V = dy.ParameterCollection().add_parameters((3, 3))

    @dy.function
    def f(M, x):
        return M * x + W * x

    for _ in range(3):
        dy.renew_cg()
        x = vector()
        for M in (W, V, dy.const_parameter(V)):
            np.testing.assert_allclose(f(M, x).npvalue(), (M.npvalue() + W.npvalue()) @ x.npvalue(), rtol=1e-5)


ARRAY, ITERATOR, PARAMETER = np.ones(3), iter([1, 2]), dy.Model().add_parameters((3, 3))
# Each is refused at the first call, with this message.
REFUSED = {
    "reads": (lambda x: x * x.value()[0], "cannot read or change values"),
    "reads numbers of a parameter": (lambda x: x.npvalue(), "cannot read"),
    "backward": (lambda x: dy.sum_elems(x).backward(), "cannot read"),
    "reads a parameter": (lambda x, W=PARAMETER: x * W.as_array()[0, 0], "cannot read or change values"),
    "renews": (lambda x: (dy.renew_cg(), vector())[1], "renews"),
    "random": (lambda x: x * random.random(), "Random, whose changes cannot be noticed"),
    "time": (lambda x: x * time.time(), "time.time may be different in each call"),
    "environment": (lambda x: x * len(os.environ), "os.environ|may be different"),
    "numpy's random": (lambda x: x * np.random.rand(), "np.random"),
    "array": (lambda x, a=ARRAY: x + dy.inputTensor(a), "ndarray, whose changes cannot be noticed"),
    "iterator": (lambda x, numbers=ITERATOR: x * next(numbers), "numbers|next"),
    "side effect": (lambda x, seen=[]: (seen.append(1), x)[1], "changes the length of a default"),  # noqa: B006
    "parameters": (lambda x: dy.ParameterCollection().add_parameters((3, 3)) * x, "cannot create parameters"),
    "returns an array": (lambda x: (x, np.ones(3)), "returns an object of the type ndarray"),
    "returns an object of the type generator": (lambda x: (x for _ in "ab"), "returns an object of the type generator"),
    "opens files": (lambda x: open("f").read(), "open"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_repeated_is_refused(name):
    body, message = REFUSED[name]
    f = dy.function(body)
    for _ in range(2):
        with pytest.raises(dy.FunctionError, match=message):
            f(vector())
    assert vector().value() == pytest.approx([0.1, -0.2, 0.3])


def test_a_node_that_is_no_argument_is_refused():
    x = vector()

    @dy.function
    def f(y):
        return x + y

    with pytest.raises(dy.FunctionError, match="an expression that is not an argument"):
        f(vector())


def test_changed_variables_around_a_function():
    factor, weights = 2.0, [dy.ParameterCollection().add_parameters((3, 3)) for _ in range(2)]
    settings = types.SimpleNamespace(on=True)

    @dy.function
    def f(x):
        y = weights[0] * x * factor
        return y if settings.on else y + x

    def expected(x):
        return weights[0].npvalue() @ x.npvalue() * factor + (0 if settings.on else x.npvalue())

    for change in (None, "factor", "weights", "settings", "swap", None, "back"):
        if change == "factor":
            factor = 3.0
        elif change == "weights":
            weights[0] = weights[1]
        elif change in ("settings", "back"):
            settings.on = not settings.on
        elif change == "swap":
            weights = weights[::-1]
        for _ in range(3):
            x = vector()
            np.testing.assert_allclose(f(x).npvalue(), expected(x), rtol=1e-5)
    assert run_count(f, (vector,), (vector,)) == 0


def test_threads_and_their_graphs(W):
    @dy.function
    def f(x, c, i):
        return dy.tanh(W * x)[i] * c

    problems = []

    def work(seed):
        rng = random.Random(seed)
        try:
            for _ in range(200):
                dy.renew_cg()
                c, i, x = rng.random(), rng.randrange(3), vector()
                assert f(x, c, i).value() == pytest.approx(dy.tanh(W * x)[i].value() * c, rel=1e-5)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_expressions_of_another_graph_are_refused(W):
    f = dy.function(lambda x: W * x)
    f(vector()), f(vector())
    old = vector()
    dy.renew_cg()
    with pytest.raises(dy.StaleExpressionError):
        f(old)


def test_an_exception_leaves_the_function_usable(W):
    @dy.function
    def f(x, n):
        y = W * x
        if n == 2:
            raise KeyError("two")
        return y * n

    for n in (1, 2, 3, 2, 1, 2):
        x = vector()
        if n == 2:
            with pytest.raises(KeyError, match="two"):
                f(x, n)
        else:
            np.testing.assert_allclose(f(x, n).npvalue(), (W * x).npvalue() * n, rtol=1e-6)
    assert current()._recording is None


def test_interrupts_leave_the_function_usable(W):
    """A signal interrupts calls at any point; calls after it record what they should."""

    def body(x, n, words):
        y = W * x * n
        for word in words:
            y = dy.tanh(y) + x[word]
        return y, n

    class Stop(Exception):
        pass

    is_armed = False

    def stop(_, frame):
        # Python loses an error that is raised in a finalizer or in a callback of the garbage collector.
        while frame and frame.f_code.co_name not in ("__del__", "gc_callback"):
            frame = frame.f_back
        if is_armed and not frame:
            raise Stop

    rng, before = random.Random(3), signal.signal(signal.SIGALRM, stop)
    f, stopped = dy.function(body), 0
    try:
        for k in range(400):
            if k % 40 == 0:
                f = dy.function(body)
            dy.renew_cg()
            x, words = vector(), [k % 3] * rng.randrange(4)
            signal.setitimer(signal.ITIMER_REAL, rng.random() * 4e-4)
            try:
                is_armed = True
                for _ in range(20):
                    f(x, 0.5, words)
                is_armed = False
            except Stop:
                is_armed = False
                stopped += 1
            dy.renew_cg()
            x = vector()
            assert np.array_equal(f(x, 0.5, words)[0].npvalue(), body(x, 0.5, words)[0].npvalue())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stopped > 50


def test_calls_are_checked_if_asked(tmp_path):
    program = """
        import numpy as np, dynet as dy
        W = dy.ParameterCollection().add_parameters((3, 3))
        runs = 0
        def vector(): return dy.inputVector([1, 2, 3])
        @dy.function
        def right(x, n): return W * x * n
        @dy.function
        def wrong(x): return x + x if np.geterr()["over"] == "raise" else W * x
        found = [right(vector(), n).value()[0] for n in (1, 2)]
        print(found == [(W * vector() * n).value()[0] for n in (1, 2)], flush=True)
        wrong(vector()), wrong(vector())
        np.seterr(over="raise")
        try: wrong(vector())
        except dy.FunctionError as problem: print(problem)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"DYNET_CHECK_FUNCTIONS": "1"},
    )  # fmt: skip
    message = "wrong: a call has recorded other nodes than the first call of its kind"
    assert found.stdout.splitlines() == ["True", message], found.stderr


# ---------------------------------------------------------------------------------- what a function may read or do


class Base:
    factor = 1.5

    def act(self, x):
        return x * self.factor * OUTSIDE["factor"]


class Holder(Base):
    """Reads by all the ways that Python has."""

    __slots__ = ("slot",)

    def __init__(self):
        self.k, self.slot, self.parts, self.named = 2.0, 3.0, [1.0, {"a": 2.0}], types.SimpleNamespace(k=2.0)

    def act(self, x):
        return super().act(x) * 2

    @property
    def doubled(self):
        return self.k * 2

    @staticmethod
    def static(x):
        return x * OUTSIDE["factor"]

    @classmethod
    def of_class(cls, x):
        return x * cls.factor

    def __getitem__(self, index):
        return self.parts[index]

    def __len__(self):
        return int(self.k)


class Table(dict):
    k = 2.0


class Descriptor:
    def __get__(self, owner, kind=None):
        return owner._hidden if owner else self


class Described:
    hidden = Descriptor()

    def __init__(self):
        self._hidden = 2.0


class Color(enum.Enum):
    RED = 2.0

    def scale(self):
        return self.value * OUTSIDE["factor"]


@dataclasses.dataclass
class Config:
    k: float = 2.0
    layers: list = dataclasses.field(default_factory=lambda: [1.0])


class MyLSTM(dy.VanillaLSTMBuilder):
    pass


OUTSIDE, LATE = {"factor": 1.0}, {}


def with_attribute(x):
    return x * with_attribute.k


with_attribute.k = 2.0
holder, table, described, config = Holder(), Table(), Described(), Config()
nested = functools.partial(lambda k, x: x * k["k"], {"k": 2.0})
builders = dy.ParameterCollection()
lstm, both = MyLSTM(1, 3, 3, builders), dy.BiRNNBuilder(1, 3, 4, builders, dy.VanillaLSTMBuilder)


def shadowed(x):
    return x * max(1.0, 2.0)


def absent(x):
    try:
        return x * holder.later
    except AttributeError:
        return x


def absent_global(x):
    try:
        return x * a_global_of_later  # noqa: F821
    except NameError:
        return x


def matched(x):
    match config:
        case Config(k=k):
            return x * k
    return x


READS = {
    "attribute": (lambda x: x * holder.k, lambda: setattr(holder, "k", 3.0)),
    "slot": (lambda x: x * holder.slot, lambda: setattr(holder, "slot", 4.0)),
    "property": (lambda x: x * holder.doubled, lambda: setattr(holder, "k", 4.0)),
    "list and dict": (lambda x: x * holder.parts[1]["a"], lambda: holder.parts[1].update(a=5.0)),
    "item": (lambda x: x * holder[0], lambda: holder.parts.__setitem__(0, 7.0)),
    "length": (lambda x: x * len(holder), lambda: setattr(holder, "k", 5.0)),
    "namespace": (lambda x: x * holder.named.k, lambda: setattr(holder.named, "k", 3.0)),
    "super": (lambda x: holder.act(x), lambda: OUTSIDE.update(factor=4.0)),
    "static": (lambda x: holder.static(x), lambda: OUTSIDE.update(factor=5.0)),
    "class": (lambda x: holder.of_class(x), lambda: setattr(Base, "factor", 2.5)),
    "method of an instance": (lambda x: holder.act(x), lambda: setattr(holder, "act", lambda x: x * 9)),
    "dict with attributes": (lambda x: x * table.k, lambda: setattr(table, "k", 3.0)),
    "descriptor": (lambda x: x * described.hidden, lambda: setattr(described, "_hidden", 3.0)),
    "enum": (lambda x: x * Color.RED.scale(), lambda: OUTSIDE.update(factor=6.0)),
    "dataclass": (lambda x: x * config.k * len(config.layers), lambda: config.layers.append(1.0)),
    "getattr": (lambda x: x * getattr(config, "".join(["k"])), lambda: setattr(config, "k", 6.0)),
    "pattern": (matched, lambda: setattr(config, "k", 7.0)),
    "partial": (lambda x: nested(x), lambda: nested.args[0].update(k=3.0)),
    "of a function": (lambda x: with_attribute(x), lambda: setattr(with_attribute, "k", 3.0)),
    "absent": (absent, lambda: setattr(holder, "later", 3.0)),
    "absent global": (absent_global, lambda: globals().update(a_global_of_later=3.0)),
    "built-in function": (shadowed, lambda: globals().update(max=lambda *_: 5.0)),
    "dropout": (lambda x: lstm.initial_state().add_input(x).output(), lambda: lstm.set_dropout(0.5)),
    "dropout of both": (lambda x: both.transduce([x])[0], lambda: both.set_dropout(0.5)),
    "frozen": (lambda x: x * 2 if lstm.get_parameters()[0][0].is_updated() else x,
               lambda: lstm.get_parameters()[0][0].set_updated(False)),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_what_a_function_reads_is_part_of_the_kind(name, no_cells):
    body, change = READS[name]
    f = dy.function(body)
    for changed in (False, True):
        if changed:
            change()
        for _ in range(3):
            found = []
            for function in (body, f):
                dy.renew_cg()
                dy.reset_random_seed(1)
                found.append(((y := function(vector())).npvalue().tolist(), len(records()[0])))
            assert found[0] == found[1], y


def numbers_of(n, m):
    """Functions of two numbers, whose results must be those of the numbers themselves."""
    return [
        lambda x, n, m: x * (n + m), lambda x, n, m: x * (n - m), lambda x, n, m: x * sum([n, m, 1]),
        lambda x, n, m: x * (2 if type(n) is int else 3), lambda x, n, m: x * -n,

        lambda x, n, m: dy.scalarInput(-n) * x,
        lambda x, n, m: x * (1 if n is m else 2), lambda x, n, m: x * float(np.sqrt(abs(n))),
        lambda x, n, m: x * (isinstance(n, np.generic) + 1), lambda x, n, m: x * (isinstance(m, int) + 1),
        lambda x, n, m: x * max(n, m), lambda x, n, m: x * len({n, m}), lambda x, n, m: x * int(n == m) if n else x,
        lambda x, n, m: dy.one_hot(3, int(abs(m)) % 3), lambda x, n, m: dy.log_softmax(x, [int(abs(n)) % 3, 0]),
        lambda x, n, m: x * (n * m + n / 3 - m // 2), lambda x, n, m: x * complex(n).real,

        lambda x, n, m: x * round(n, 1),
        lambda x, n, m: x * {n: 1.0}.get(m, 2.0), lambda x, n, m: x[[0, 1, 2][int(abs(n)) % 3]],
    ]  # fmt: skip


@pytest.mark.parametrize("k", range(len(numbers_of(0, 0))))
def test_numbers_of_all_types(k):
    body = numbers_of(0, 0)[k]
    f = dy.function(body, kinds=1000)
    values = [1, 1.0, 2, 0, -1, 2.5, -0.0, np.int64(2), np.float32(0.5), np.float64(2), np.int32(1)]
    for _ in range(3):
        for n in values:
            for m in values:
                dy.renew_cg()
                x = vector()
                a, b = body(x, n, m).npvalue(), f(x, n, m).npvalue()
                assert np.array_equal(a, b) and np.array_equal(np.signbit(a), np.signbit(b)), (n, m)


def test_texts_and_other_constants_that_are_made_anew():
    f = dy.function(lambda x, text: x * len(text))
    for k in range(300):
        assert f(vector(), bytes([65] * (5 + k % 3)).decode()).value()[0] == pytest.approx(0.1 * (5 + k % 3))
    g = dy.function(lambda x, c: x * c.real)
    for k in range(300):
        assert g(vector(), complex(k % 5, 1)).value()[0] == pytest.approx(0.1 * (k % 5))


def test_lists_and_tuples_are_told_apart():
    f = dy.function(lambda x, p: x * 2 if isinstance(p, tuple) else x * 3)
    for _ in range(4):
        assert f(vector(), [vector()]).value()[0] == pytest.approx(0.3)
        assert f(vector(), (vector(),)).value()[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "body",
    [
        lambda a, b: a * 2 if a is b else a + b * 3,
        lambda a, b: a * 2 if a in [b] else b,
        lambda a, b: dy.esum([*dict.fromkeys([a, b, a])]),
        lambda *xs: dy.esum([*dict.fromkeys(xs)]),
    ],
)
def test_the_same_node_twice(body):
    f = dy.function(body)
    for _ in range(4):
        dy.renew_cg()
        x, y = vector(), vector() * 3
        for a, b in [(x, y), (x, x), (y, x), (y, y)]:
            assert f(a, b).npvalue().tolist() == body(a, b).npvalue().tolist()


class Remembers:
    def __call__(self, x):
        self.last = x * 2
        return x


remembers, trainer = Remembers(), dy.SimpleSGDTrainer(builders)


def set_global(x):
    global a_new_global
    a_new_global = x
    return x


CHANGES = {
    "attribute": lambda x, more: remembers(x),
    "global": lambda x, more: set_global(x),
    "list argument": lambda x, more: (more.append(1), x)[1],
    "update": lambda x, more: (trainer.update(), x)[1],
    "learning rate": lambda x, more: (setattr(trainer, "learning_rate", 0.5), x)[1],
    "seed": lambda x, more: (dy.reset_random_seed(5), x)[1],
    "values": lambda x, more: (PARAMETER.zero(), x)[1],
    "freezing": lambda x, more: (PARAMETER.set_updated(False), x)[1],
    "dict": lambda x, more: (OUTSIDE.update(factor=OUTSIDE["factor"] + 1), x)[1],
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_function_changes_is_refused(name):
    f = dy.function(CHANGES[name])
    dy.sum_elems(lstm.get_parameters()[0][2]).backward()  # so that there is a gradient
    with pytest.raises(dy.FunctionError, match="<lambda>: "):
        f(vector(), [])


def test_functions_that_return_no_node_and_calls_that_raise():
    f = dy.function(lambda x, n: None if n < 5 else x / 0 if n > 50 else "text")
    for n in [*range(60)] * 2:
        if n > 50:
            with pytest.raises(dy.DynetError):
                dy.function(lambda x, n: x["a"])(vector(), n)
        else:
            assert f(vector(), n) == (None if n < 5 else "text")

    @dy.function(kinds=2)
    def g(x, n):
        if n:
            raise KeyError(n)
        return x

    for n in range(1, 20):
        with pytest.raises(KeyError):
            g(vector(), n)
    assert run_count(g, (vector, 0), (vector, 0)) == 1


def test_functions_are_freed():
    alive = []

    def make():
        settings = Holder()
        f = dy.function(lambda x: x * settings.k)
        f(vector()), f(vector())
        alive.append(weakref.ref(settings))
        return f

    for _ in range(20):
        make()
    gc.collect()
    assert sum(reference() is not None for reference in alive) <= 1


def test_short_lived_objects_do_not_switch_a_function_off(recwarn):
    lasting = Layer(2.0)
    for k in range(150):
        x, layer = vector(), Layer(float(k))
        np.testing.assert_allclose(layer(x).npvalue(), (layer.W * x).npvalue() * k, rtol=1e-5)
        np.testing.assert_allclose(lasting(x).npvalue(), (lasting.W * x).npvalue() * 2, rtol=1e-5)
        del layer
    assert run_count(Layer.__call__, (lambda: lasting, vector)) == 0
    assert not [one for one in recwarn if "kinds were recorded" in str(one.message)]


@pytest.mark.parametrize(
    "wrong", [3, "f", len, functools.partial(len), Layer, staticmethod(len), dy.tanh, Layer(1.0).named]
)
def test_what_cannot_be_decorated(wrong):
    with pytest.raises(dy.ArgumentTypeError, match="function: expected a function made by `def` or `lambda`"):
        dy.function(wrong)


def test_another_thread_may_run_backward_passes():
    """They are not taken for something that the function does."""
    is_done = threading.Event()

    def differentiate():
        while not is_done.is_set():
            dy.renew_cg()
            dy.sum_elems(dy.tanh(dy.inputVector([1.0, 2.0]))).backward()

    f = dy.function(lambda x, y: dy.tanh(x) + dy.cmult(y, y), kinds=1000)
    thread = threading.Thread(target=differentiate)
    thread.start()
    try:
        for size in range(1, 400):
            dy.renew_cg()
            x = dy.zeros(size)
            assert f(x, x).dim() == ((size,), 1)
    finally:
        is_done.set()
        thread.join()


def test_a_signal_handler_records_while_a_function_is_recorded(monkeypatch):
    """Where a number goes is not known for certain then, so the next call records the function again."""
    values = numbers.Recording.values
    is_first = True

    def disturbed(self, role, begin, given):
        nonlocal is_first
        if is_first and any(type(x) is numbers.Number for x in given):
            is_first = False
            dy.inputVector([7.0, 8.0])
        return values(self, role, begin, given)

    monkeypatch.setattr(numbers.Recording, "values", disturbed)
    f = dy.function(lambda x, k: dy.pick(x, k) * 2)
    for k in range(6):
        dy.renew_cg()
        x = dy.inputVector([float(n) for n in range(31)])
        assert f(x, k).value() == 2 * k
