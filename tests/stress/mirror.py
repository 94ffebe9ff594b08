"""A graph and its mirror: the expected value of each expression, computed by numpy in float64."""

import random

import numpy as np

import dynet as dy

SIZE = 3  # size of most vectors
ROWS = 7  # rows of the lookup table
TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}


class Wrong(Exception):
    """A value differs from numpy's."""


class Held:
    """An expression that the program holds, and how numpy computes it from parameters and operand values."""

    __slots__ = ("expression", "formula", "given", "operands", "perhaps_gone", "value")

    def __init__(self, expression, formula, operands, value, given=None):
        self.expression, self.formula, self.operands, self.value = expression, formula, operands, value
        self.given = given  # the value of an input
        self.perhaps_gone = False  # whether an interrupted revert may have removed it

    def compute(self, p):
        """The value, from the parameters' values and the operands'."""
        return self.formula(p, *[operand.value for operand in self.operands])


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def logistic(x):
    return 1 / (1 + np.exp(-x))


ELEMENTWISE = {
    "tanh": (lambda x: dy.tanh(x), np.tanh),
    "logistic": (lambda x: dy.logistic(x), logistic),
    "-x": (lambda x: -x, np.negative),
    "x * 0.5": (lambda x: x * 0.5, lambda x: x * 0.5),
    "2 * x": (lambda x: 2 * x, lambda x: 2 * x),
    "1 - x": (lambda x: 1 - x, lambda x: 1 - x),
    "x + 1": (lambda x: x + 1, lambda x: x + 1),
    "x / 2": (lambda x: x / 2, lambda x: x / 2),
    "square": (lambda x: dy.square(x), np.square),
    "sin": (lambda x: dy.sin(x), np.sin),
    "x ** 2": (lambda x: x**2, np.square),
}
OF_VECTORS = {
    "softmax": (lambda x: dy.softmax(x), softmax),
    "log_softmax": (lambda x: dy.log_softmax(x), lambda x: np.log(softmax(x))),
    "reshape": (lambda x: dy.reshape(dy.reshape(x, (1, SIZE)), (SIZE,)), lambda x: x),
    "transpose": (lambda x: dy.reshape(dy.transpose(x), (SIZE,)), lambda x: x),
    "slice": (lambda x: dy.concatenate([x[1:3], x[0:1]]), lambda x: np.roll(x, -1)),
    "pick_range": (lambda x: dy.concatenate([dy.pick_range(x, 0, 2), x[2]]), lambda x: x),
}
TO_NUMBERS = {
    "sum_elems": (lambda x: dy.sum_elems(x), lambda x: x.sum(keepdims=True)),
    "pick": (lambda x: dy.pick(x, 1), lambda x: x[1:2]),
    "x[2]": (lambda x: x[2], lambda x: x[2:3]),
    "pickneglogsoftmax": (lambda x: dy.pickneglogsoftmax(x, 2), lambda x: -np.log(softmax(x))[2:3]),
    "squared_norm": (lambda x: dy.squared_norm(x), lambda x: np.square(x).sum(keepdims=True)),
}
OF_TWO = {
    "x + y": (lambda x, y: x + y, np.add),
    "x - y": (lambda x, y: x - y, np.subtract),
    "cmult": (lambda x, y: dy.cmult(x, y), np.multiply),
}
PART = slice(SIZE - 1, 2 * SIZE - 1)
OF_MANY = {
    "esum": (lambda *xs: dy.esum(list(xs)), lambda *xs: sum(xs)),
    "average": (lambda *xs: dy.average(list(xs)), lambda *xs: sum(xs) / len(xs)),
    "concatenate": (lambda *xs: dy.concatenate(list(xs))[PART], lambda *xs: np.concatenate(xs)[PART]),
}


def lstm_states(p, *xs):
    """The outputs of a `VanillaLSTMBuilder` of one layer."""
    h = c = np.zeros(SIZE)
    for x in xs:
        i, f, o, g = np.split(p["Wx"] @ x + p["Wh"] @ h + p["bh"], 4)
        c = c * logistic(f + 1) + np.tanh(g) * logistic(i)
        h = np.tanh(c) * logistic(o)
        yield h


class Mirror:
    """A model and a graph that grows at random, with the expected values of all held expressions.

    What changes the mirror does so after what changes the library, in one step: an interrupt that comes between leaves
    an expression that nobody holds.
    """

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.model = dy.ParameterCollection()
        self.lstm = dy.VanillaLSTMBuilder(1, SIZE, SIZE, self.model)
        numbers = np.random.default_rng(seed)
        add = self.model.parameters_from_numpy
        self.parameters = {
            "W": add(numbers.uniform(-1, 1, (SIZE, SIZE))),
            "V": add(numbers.uniform(-1, 1, (SIZE, SIZE))),
            "b": add(numbers.uniform(-1, 1, SIZE)),
            "E": self.model.lookup_parameters_from_numpy(numbers.uniform(-1, 1, (ROWS, SIZE))),
            **dict(zip(("Wx", "Wh", "bh"), self.lstm.get_parameters()[0])),
        }
        self.trainer = dy.SimpleSGDTrainer(self.model, 0.05)
        self.recorded: list[Held] = []
        self.held: list[Held] = []
        self.read_parameters()

    # The model

    def stored_values(self) -> dict[str, np.ndarray]:
        """The parameters' values in the library."""
        return {name: p.as_array().astype(float) for name, p in self.parameters.items()}

    def stored_gradients(self) -> dict[str, np.ndarray]:
        """The parameters' gradients in the library."""
        return {name: p.grad_as_array().astype(float) for name, p in self.parameters.items()}

    def read_parameters(self) -> None:
        """Copy the values from the library."""
        self.p, self.gradients = self.stored_values(), self.stored_gradients()

    def updated(self) -> dict[str, np.ndarray]:
        """The parameters after an update."""
        threshold = self.trainer.get_clip_threshold()
        norm = np.sqrt(sum(np.square(g).sum() for g in self.gradients.values()))
        scale = threshold / norm if 0 < threshold < norm else 1.0
        return {name: p - self.trainer.learning_rate * scale * self.gradients[name] for name, p in self.p.items()}

    def slope(self, loss: Held, direction: dict[str, np.ndarray], step: float = 1e-5) -> float:
        """The derivative of a loss along a direction in parameter space."""
        found = []
        for sign in (step, -step):
            moved = {name: p + sign * direction[name] for name, p in self.p.items()}
            self.refresh(moved)
            found.append(float(loss.value[0]))
        self.refresh()
        return (found[0] - found[1]) / (2 * step)

    def is_gradient(self, loss: Held, found: dict[str, np.ndarray]) -> bool:
        """Whether these are the derivatives of a loss with respect to the parameters."""
        numbers = np.random.default_rng(self.random.getrandbits(32))
        for _ in range(2):
            direction = {name: numbers.normal(size=p.shape) for name, p in self.p.items()}
            expected = self.slope(loss, direction)
            got = sum((found[name] * direction[name]).sum() for name in direction)
            if not abs(got - expected) < 2e-3 * (1 + abs(expected)):
                return False
        return True

    # The graph

    def begin(self) -> None:
        """Start a new graph, without held expressions."""
        self.recorded, self.held = [], []

    def hold(self, *new: Held) -> None:
        """Hold expressions. Those no longer held keep their values, because others may depend on them."""
        self.recorded += new
        self.held += new

    def refresh(self, p=None) -> None:
        """Recompute all values after a change of parameters or inputs."""
        p = self.p if p is None else p
        for held in self.recorded:
            held.value = held.compute(p)

    def record(self, function, formula, *operands: Held, given=None) -> Held:
        """Record an expression and hold it."""
        value = formula(self.p, *[operand.value for operand in operands])
        if np.abs(value).max() > 4:
            inner, outer = function, formula
            function, formula = (lambda *xs: dy.tanh(inner(*xs))), lambda p, *xs: np.tanh(outer(p, *xs))
            value = np.tanh(value)
        new = Held(function(*[operand.expression for operand in operands]), formula, operands, value, given)
        self.hold(new)
        return new

    def of(self, table: dict, *operands: Held) -> Held:
        """Record one of the operations in a table."""
        function, formula = self.random.choice(list(table.values()))
        return self.record(function, lambda p, *xs: formula(*xs), *operands)

    def vector(self) -> Held:
        """A held vector of SIZE, or a new input."""
        found = [h for h in self.held[-40:] if h.value.shape == (SIZE,) and not h.perhaps_gone]
        return self.random.choice(found) if found and self.random.random() < 0.9 else self.input_vector()

    def numbers(self) -> list[float]:
        return [self.random.uniform(-1, 1) for _ in range(SIZE)]

    def input_vector(self) -> Held:
        given = [self.numbers()]
        make = self.random.choice([dy.inputVector, lambda v: dy.inputTensor(np.array(v))])
        return self.record(lambda: make(given[0]), lambda p: np.array(given[0]), given=given)

    def scalar_input(self) -> Held:
        number = self.random.uniform(-1, 1)
        x = self.record(lambda: dy.scalarInput(number), lambda p: np.array([number]))
        return self.record(lambda x, y: x + y, lambda p, x, y: x + y, x, self.vector())

    def row(self) -> Held:
        k = self.random.randrange(ROWS)
        E = self.parameters["E"]
        look = self.random.choice(
            [lambda: E[k], lambda: dy.lookup(E, k), lambda: dy.sum_batches(dy.lookup_batch(E, [k]))]
        )
        return self.record(look, lambda p: p["E"][k])

    def rows(self) -> Held:
        ks = [self.random.randrange(ROWS) for _ in range(3)]
        return self.record(
            lambda: dy.sum_batches(dy.lookup_batch(self.parameters["E"], ks)), lambda p: p["E"][ks].sum(0)
        )

    def elementwise(self) -> Held:
        return self.of(self.random.choice([ELEMENTWISE, OF_VECTORS]), self.vector())

    def two(self) -> Held:
        return self.of(OF_TWO, self.vector(), self.vector())

    def many(self) -> Held:
        return self.of(OF_MANY, *[self.vector() for _ in range(self.random.randint(2, 5))])

    def number(self) -> Held:
        return self.of(TO_NUMBERS, self.vector())

    def product(self) -> Held:
        return self.record(lambda x: self.parameters["W"] * x, lambda p, x: p["W"] @ x, self.vector())

    def layers(self) -> Held:
        """Two layers and the loss, as for learning xor."""
        W, V, b = self.parameters["W"], self.parameters["V"], self.parameters["b"]
        hidden = self.record(lambda x: dy.tanh(W * x + b), lambda p, x: np.tanh(p["W"] @ x + p["b"]), self.vector())
        y = self.record(
            lambda h: dy.logistic(dy.affine_transform([b, V, h])), lambda p, h: logistic(p["b"] + p["V"] @ h), hidden
        )
        return self.record(
            lambda y, t: dy.squared_norm(y - t), lambda p, y, t: np.square(y - t).sum(keepdims=True), y, self.vector()
        )

    def tree(self, depth: int = 3) -> Held:
        """A tree whose nodes are computed from their children."""
        if not depth or self.random.random() < 0.2:
            return self.row()
        W, V, b = self.parameters["W"], self.parameters["V"], self.parameters["b"]
        return self.record(
            lambda left, right: dy.tanh(dy.affine_transform([b, W, left, V, right])),
            lambda p, left, right: np.tanh(p["b"] + p["W"] @ left + p["V"] @ right),
            self.tree(depth - 1),
            self.tree(depth - 1),
        )

    def sequence(self) -> list[Held]:
        """Outputs of the LSTM, read in one call or one by one, and the loss of a tag."""
        xs = [self.row() for _ in range(self.random.randint(1, 4))]
        start, inputs = self.lstm.initial_state(), [x.expression for x in xs]
        values = list(lstm_states(self.p, *[x.value for x in xs]))
        formulas = [lambda p, *xs, k=k: list(lstm_states(p, *xs))[k] for k in range(len(xs))]
        if self.random.random() < 0.5:
            outputs = start.transduce(inputs)
        else:
            outputs = [state.output() for state in start.add_inputs(inputs)]
        self.hold(*[Held(*each) for each in zip(outputs, formulas, [xs] * len(xs), values)])
        return self.number()

    def chain(self) -> Held:
        """Many nodes, so that buffers must grow."""
        count = self.random.choice([50, 300, 1500])

        def record(x):
            for _ in range(count):
                x = dy.tanh(x + 0.5)
            return x

        def formula(p, x):
            for _ in range(count):
                x = np.tanh(x + 0.5)
            return x

        return self.record(record, formula, self.vector())

    STEPS = (
        *(input_vector, scalar_input, row, rows, elementwise, elementwise, two, two, many, number, product),
        *(layers, tree, sequence, number, elementwise, two),
    )

    def step(self) -> None:
        """Record a random expression."""
        (Mirror.chain if self.random.random() < 0.003 else self.random.choice(self.STEPS))(self)

    def loss(self) -> Held:
        """A scalar that depends on a few of the others."""
        numbers = [h for h in self.held[-40:] if h.value.shape == (1,) and not h.perhaps_gone][-4:]
        numbers += [self.number()]
        return self.record(lambda *xs: dy.esum(list(xs)), lambda p, *xs: sum(xs), *numbers)

    # Reading

    READERS = {
        "value": lambda e, again: e.value(again),
        "npvalue": lambda e, again: e.npvalue(again),
        "vec_value": lambda e, again: e.vec_value(again),
        "scalar_value": lambda e, again: e.scalar_value(again) if e.dim() == ((1,), 1) else e.value(again),
        "forward": lambda e, again: e.forward(again) or e.npvalue(),
    }

    def compare(self, held: Held, recalculate: bool = False) -> None:
        """Read an expression in a random way.

        Raises:
            Wrong: it differs from numpy's value.
        """
        name = self.random.choice(list(self.READERS))
        got = np.atleast_1d(np.asarray(self.READERS[name](held.expression, recalculate)))
        if got.shape != held.value.shape or not np.allclose(got, held.value, **TOLERANCE):
            raise Wrong(f"{name} of {held.expression!r} gives {got}, not {held.value}")

    def compare_all(self, recalculate: bool = False) -> None:
        """Read all held expressions; those that may have been removed must have the right value or be stale."""
        kept = []
        for held in self.held:
            try:
                self.compare(held, recalculate)
                kept.append(held)
            except dy.StaleExpressionError:
                if not held.perhaps_gone:
                    raise
                continue
            recalculate = False
        self.held = kept
