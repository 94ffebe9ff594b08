"""Random formulas for random_formulas.py: trees of the functions in dynet_kernels.formula, and operand values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

NAMES = ("x", "y", "z", "w", "dx", "dy", "dz", "a", "b")
POINTS = 139
SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
CONDITIONS = {"less": "<", "less_equal": "<=", "equal": "=="}
STEPS = ("floor", "ceil", "round")
# fmt: off
UNARY = (
    "exp", "log", "expm1", "log1p", "logistic", "tanh", "sinh", "cosh", "asinh", "acosh", "atanh", "sin", "cos", "tan",
    "asin", "acos", "atan", "erf", "lgamma", "sqrt", "absolute", "negative", "square", "cube", *STEPS,
)
# fmt: on
CONSTANTS = (0.5, 2.0, 3.0, -1.5, 0.25, 1.0, 10.0, 0.1, -0.7, 1e-3, 4.0, 100.0)
# Most arguments of functions with a limited domain are forced into that domain.
WITHIN = {
    **dict.fromkeys(("asin", "acos", "atanh"), ("tanh", "sin", "cos", "erf", "logistic")),
    **dict.fromkeys(("log", "sqrt", "log1p"), ("absolute", "exp", "square", "cosh", "absolute")),
    "acosh": ("cosh", "one_more"),
}


@dataclass(eq=False)
class Node:
    """A function applied to nodes, operand names and numbers."""

    function: str
    arguments: tuple[Node | str | float, ...]

    def beneath(self) -> list[Node]:
        """This node and those that it depends on, arguments first."""
        found: dict[int, Node] = {}

        def visit(node):
            if isinstance(node, Node) and id(node) not in found:
                for argument in node.arguments:
                    visit(argument)
                found[id(node)] = node

        visit(self)
        return [*found.values()]

    def names(self) -> list[str]:
        """The names of the operands that this node depends on."""
        return sorted({a for node in self.beneath() for a in node.arguments if isinstance(a, str)})


@dataclass
class Formula:
    """A function of some operands, with an array of values for each operand."""

    name: str
    operands: tuple[str, ...]
    root: Node
    values: dict[str, np.ndarray]

    def source(self, annotation: str = "") -> str:
        """The formula as a Python function of its operands, which uses the functions of a module `f`."""
        nodes, written, lines = self.root.beneath(), {}, []
        uses = [id(a) for node in nodes for a in node.arguments]
        for node in nodes:
            text = _text(node, [written.get(id(a), a) if isinstance(a, Node) else a for a in node.arguments])
            if uses.count(id(node)) > 1 and node.function not in CONDITIONS:
                lines.append(f"    t{len(lines)} = {text}")
                text = f"t{len(lines) - 1}"
            written[id(node)] = text
        parameters = ", ".join(name + annotation for name in self.operands)
        return "\n".join([f"def {self.name}({parameters}){' -> Expression' * bool(annotation)}:", *lines, ""]) + (
            f"    return {written[id(self.root)]}\n"
        )


def _text(node: Node, arguments: list) -> str:
    function, texts = node.function, [str(a) for a in arguments]
    if function in SIGNS | CONDITIONS:
        return f"({texts[0]} {(SIGNS | CONDITIONS)[function]} {texts[1]})"
    match function:
        case "negative":
            return f"(-{texts[0]})"
        case "square":
            return f"({texts[0]} ** 2)"
        case "cube":
            return f"({texts[0]} ** 3)"
    return f"f.{function}({', '.join(texts)})"


class Maker:
    """Makes a random tree of at most `most` nodes that uses all of `names`."""

    def __init__(self, rng: random.Random, names: tuple[str, ...], most: int = 15):
        self.rng, self.names, self.most = rng, names, most

    def __call__(self) -> Node:
        while True:
            self.made: list[tuple[Node, bool]] = []
            root = self.node(self.rng.randint(2 if len(self.names) < 3 else 4, 5), True)
            for name in [name for name in self.names if name not in root.names()]:
                other = name if self.rng.random() < 0.5 else self.unary(name, True)
                pair = (root, other) if self.rng.random() < 0.5 else (other, root)
                root = Node(self.rng.choice(["add", "subtract", "multiply", "divide", "maximum", "minimum"]), pair)
            if 3 <= len(root.beneath()) <= self.most:
                return root

    def keep(self, node: Node, smooth: bool) -> Node:
        self.made.append((node, smooth))
        return node

    def value(self, depth: int, smooth: bool) -> Node | str:
        """An operand or a node. With `smooth`, gradients pass through it."""
        known = [node for node, has in self.made if has or not smooth]
        if known and self.rng.random() < 0.12:
            return self.rng.choice(known)
        if depth <= 0 or self.rng.random() < 0.15:
            return self.rng.choice(self.names)
        return self.node(depth, smooth)

    def second(self, depth: int, smooth: bool) -> Node | str | float:
        return self.constant() if self.rng.random() < 0.25 else self.value(depth, smooth)

    def pair(self, depth: int, smooth: bool) -> tuple:
        """Two values, of which the second may be a number. They are hardly ever the same."""
        pair = self.value(depth, smooth), self.second(depth, smooth)
        if pair[0] is pair[1] and self.rng.random() < 0.8:
            return pair[0], self.constant()
        return pair

    def constant(self) -> float:
        return float(np.float32(self.rng.choice(CONSTANTS)))

    def node(self, depth: int, smooth: bool) -> Node:
        kind, depth = self.rng.random(), depth - 1
        if kind < 0.48:
            return self.unary(self.value(depth, smooth), smooth, depth)
        if kind < 0.82:
            pair = self.pair(depth, smooth)
            if self.rng.random() < 0.5:
                pair = pair[::-1]
            return self.keep(Node(self.rng.choice([*SIGNS][:4]), pair), smooth)
        if kind < 0.87:
            base = self.value(depth, smooth)
            if self.rng.random() < 0.5:
                base = Node(self.rng.choice(["absolute", "exp"]), (base,))
            pair = (base, self.second(depth, smooth)) if self.rng.random() < 0.8 else (2.0, base)
            return self.keep(Node("power", pair), smooth)
        if kind < 0.92:
            pair = self.pair(depth, smooth)
            return self.keep(Node(self.rng.choice(["minimum", "maximum"]), pair), smooth)
        if kind < 0.97:
            sides = self.rough(depth - 1), self.second(depth - 1, False)
            condition = Node(self.rng.choice([*CONDITIONS]), sides)
            branches = self.pair(depth, smooth)
            if self.rng.random() < 0.5:
                branches = branches[::-1]
            return self.keep(Node("where", (condition, *branches)), smooth)
        under = Node(self.rng.choice(["absolute", "square", "exp"]), (self.value(depth, smooth),))
        return self.keep(Node("over_root", (self.second(depth, smooth), under, abs(self.constant()))), smooth)

    def rough(self, depth: int) -> Node | str:
        """A value that no gradient passes through, so it may use digamma."""
        value = self.value(depth, False)
        return self.keep(Node("digamma", (value,)), False) if self.rng.random() < 0.4 else value

    def unary(self, argument: Node | str, smooth: bool, depth: int = 0) -> Node:
        function = self.rng.choice(UNARY if smooth else (*UNARY, "digamma"))
        if function in STEPS and self.rng.random() < 0.6:
            argument = self.rough(depth)
        if function in WITHIN and self.rng.random() < 0.8:
            within = self.rng.choice(WITHIN[function])
            if within == "one_more":
                argument = Node("add", (Node("absolute", (argument,)), 1.0))
            else:
                argument = Node(within, (argument,))
        return self.keep(Node(function, (argument,)), smooth)


# Operands

SPECIAL = (0.5, 1.0, 2.0, 3.0, 1.5, 2.5, np.pi / 2, np.pi, 2.0**24, 2.0**23, 88.72, 89.4, 103.97, 1.4616321, 1e-4, 9.01)


def operands(rng: random.Random, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Values of each operand at all points: of any magnitude, moderate, equal to another operand's, or special."""
    rows = [_row(rng, len(names), place) for place in range(POINTS)]
    return {name: np.array([row[k] for row in rows], np.float32) for k, name in enumerate(names)}


def _row(rng: random.Random, count: int, place: int) -> list[float]:
    def sign():
        return rng.choice([1, 1, -1])

    def wide():
        return sign() * 10 ** rng.uniform(-30, 30)

    def moderate():
        return sign() * 10 ** rng.uniform(-1, 1)

    def special():
        value = np.float32(rng.choice(SPECIAL))
        return sign() * float(value * np.float32(1 + rng.choice([0, 0, 1, -1, 2, 100]) * 2.0**-23))

    if place < 45:
        return [wide() for _ in range(count)]
    if place < 85:
        return [moderate() for _ in range(count)]
    if place < 100:  # equal values, or values of equal magnitude
        one = rng.choice([wide, moderate, special])()
        row = [one * rng.choice([1, 1, 1, -1]) for _ in range(count)]
        if count > 2:
            row[rng.randrange(count)] = moderate()
        return row
    if place < 120:
        return [rng.choice([special, moderate])() for _ in range(count)]
    return [rng.choice([wide, moderate, special, lambda: sign() * 10 ** rng.uniform(-5, 5)])() for _ in range(count)]


def random_formulas(seed: int, names: tuple[str, ...] = NAMES, most_operands: int = 5) -> Iterator[Formula]:
    """Endless random formulas. The n-th is the same however many are taken."""
    index = 0
    while True:
        rng = random.Random(f"{seed} {index}")
        chosen = tuple(rng.sample(names, rng.randint(1, min(most_operands, len(names)))))
        root = Maker(rng, chosen)()
        yield Formula(f"formula_{seed}_{index}", chosen, root, operands(rng, chosen))
        index += 1


# fmt: off
ZEROS = (  # zeros of lgamma and digamma
    -5.0082182, -4.9915446, -4.0393618, -3.9552943, -3.1435809, -2.7476826, -2.4570247,
    -4.6532378, -3.6352934, -2.6107209, -1.5734985, -0.5040830, 1.4616321,
)
# fmt: on


def single_functions(points: int = 4000) -> Iterator[Formula]:
    """Each function alone, at magnitudes from the smallest to the largest float32, including values with all digits."""
    rng = random.Random(0)
    trees = [Node(function, ("x",)) for function in (*UNARY, "digamma") if function not in ("negative", *STEPS)]
    trees += [Node(function, ("x", "y")) for function in (*SIGNS, "minimum", "maximum")]
    trees += [Node("power", ("x", y)) for y in (0.5, -1.5, 3.0, 0.1)] + [Node("power", (2.0, "x"))]
    trees += [Node("over_root", ("x", "y", 0.1)), Node("over_root", ("x", "y", "z"))]
    for number, root in enumerate(trees):
        names, rows = tuple(root.names()), []
        for place in range(points):
            span = rng.choice([(-37.9, 38.5), (-2, 2), (-1, 1), (-6, 6)])
            rows.append([rng.choice([1, -1]) * 10 ** rng.uniform(*span) for _ in names])
            if place % 8 == 0:
                rows[-1] = [rng.choice([1, -1]) * rng.choice(SPECIAL) * (1 + 10 ** rng.uniform(-7, -1)) for _ in names]
            if place % 8 == 4 and root.function in ("lgamma", "digamma"):
                rows[-1] = [rng.choice(ZEROS) * (1 + rng.choice([1, -1]) * 10 ** rng.uniform(-7, -2))]
        values = {name: np.array([row[k] for row in rows], np.float32) for k, name in enumerate(names)}
        yield Formula(f"single_{number}_{root.function}", names, root, values)
