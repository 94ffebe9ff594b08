"""Random programs of ops, compared with the float64 references in the op table."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import dynet_ops as dy
from dynet_core import renew_cg
from dynet_core.op import OPS, Sample
from dynet_ops import testing
from dynet_ops.testing import (
    Computed,
    Input,
    Parameter,
    magnitude,
    record,
    reference,
    value_of,
    weighted_sum,
    weights_of_shape,
)

LEAVES = (Input, Parameter, Computed)
UNARY = ("tanh", "logistic", "softsign", "negative", "square", "softmax", "log_softmax")
BINARY = ("add", "subtract", "cmult")
STEP = 1e-6


@dataclass
class Node:
    """A node of a program, and its expected value."""

    expression: object
    expected: np.ndarray

    def apply(self, name, *others, as_list=False, **attributes):
        sample = Sample([], attributes, as_list)
        nodes = (self, *others)
        return Node(
            record(OPS[name], sample, [node.expression for node in nodes]) if self.expression is not None else None,
            reference(OPS[name], sample, [node.expected for node in nodes]),
        )


def step(nodes, instruction, size):
    """The next node: from vectors (size,) and matrices (size, size), with any batch."""
    number, *places = instruction
    a, b, c = (nodes[place % len(nodes)] for place in places)
    kinds = len(UNARY) + len(BINARY)
    which = number % (kinds + 5)
    if which < len(UNARY):
        node = a.apply(UNARY[which])
    elif which < kinds:
        node = a.apply(BINARY[which - len(UNARY)], b)
    elif which == kinds:
        matrices = [node for node in nodes if node.expected.ndim == 3]
        node = matrices[places[0] % len(matrices)].apply("matmul", b)
    elif which == kinds + 1:
        node = a.apply("average", b, c, as_list=True)
    elif which == kinds + 2:
        same = [node for node in nodes if node.expected.ndim == a.expected.ndim]
        start = places[1] % (size + 1)
        other = same[places[2] % len(same)]
        node = a.apply("concatenate", other, as_list=True).apply("pickrange", v=start, u=start + size)
    elif which == kinds + 3 and a.expected.ndim == 3:
        node = a.apply("transpose")
    elif a.expected.ndim == 3:
        node = a.apply("pick", index=places[1] % size, dim=places[2] % 2)
    else:
        node = a.apply("cmult", a.apply("sum_elems"))
    return node.apply("softsign") if magnitude(node.expected) > 4 else node


def run(program, leaves):
    """Compute all nodes of a program."""
    nodes = list(leaves)
    for instruction in program.instructions:
        nodes.append(step(nodes, instruction, program.size))
    return nodes


@dataclass
class Program:
    size: int
    batch: int
    leaves: list  # whether it is a matrix, whether it has a batch, its kind
    instructions: list
    reads: set

    def arrays(self, seed):
        rng = np.random.default_rng(seed)
        dims = [(self.size,) * (1 + is_matrix) for is_matrix, *_ in self.leaves]
        batches = [self.batch if has_batch else 1 for _, has_batch, _ in self.leaves]
        return [rng.uniform(-1, 1, (*d, batch)).astype(np.float32) for d, batch in zip(dims, batches)]


@st.composite
def programs(draw):
    leaf = st.tuples(st.booleans(), st.booleans(), st.sampled_from(LEAVES))
    instruction = st.tuples(*[st.integers(0, 1000)] * 4)
    instructions = draw(st.lists(instruction, min_size=1, max_size=14))
    return Program(
        draw(st.integers(1, 20)),
        draw(st.integers(1, 4)),
        [(True, False, Parameter), *draw(st.lists(leaf, min_size=1, max_size=4))],
        instructions,
        draw(st.sets(st.integers(0, len(instructions)), max_size=3)),
    )


def recorded(program, arrays, read):
    leaves = [kind(array) for array, (*_, kind) in zip(arrays, program.leaves)]
    nodes = [Node(leaf.expression, leaf.array.astype(np.float64)) for leaf in leaves]
    for number, instruction in enumerate(program.instructions):
        nodes.append(step(nodes, instruction, program.size))
        if read and number in program.reads:
            nodes[-1].expression.value()
    return leaves, nodes


def loss_of(node):
    return weighted_sum(node.expression, weights_of_shape(node.expected.shape))


def assert_close(actual, expected, tolerance):
    assert magnitude(actual - expected) <= max(tolerance, testing.ROUNDING) * max(1.0, magnitude(expected))


@settings(deadline=None, max_examples=150)
@given(programs())
def test_values_and_gradients(program):
    renew_cg()
    arrays = program.arrays(0)
    leaves, nodes = recorded(program, arrays, read=True)
    (loss_of(nodes[-1]) + loss_of(nodes[len(nodes) // 2])).backward(full=True)
    for node in nodes:
        assert_close(value_of(node.expression), node.expected, 1e-4)

    rng = np.random.default_rng(1)
    directions = [rng.normal(size=array.shape) for array in arrays]

    def loss(t):
        moved = run(program, [Node(None, array + t * d) for array, d in zip(arrays, directions)])
        return sum((weights_of_shape(n.expected.shape) * n.expected).sum() for n in (moved[-1], moved[len(moved) // 2]))

    slopes = [(leaf.gradient() * d).sum() for leaf, d in zip(leaves, directions)]
    expected = (loss(STEP) - loss(-STEP)) / (2 * STEP)
    assert abs(sum(slopes) - expected) <= 1e-4 * max(1.0, *map(abs, slopes))


@settings(deadline=None, max_examples=50)
@given(programs(), st.integers(2, 5))
def test_programs_that_run_together_do_not_meet(program, count):
    alone = []
    for seed in range(count):
        renew_cg()
        leaves, nodes = recorded(program, program.arrays(seed), read=True)
        loss_of(nodes[-1]).backward(full=True)
        alone.append([value_of(nodes[-1].expression), *[leaf.gradient() for leaf in leaves]])
    renew_cg()
    together = [recorded(program, program.arrays(seed), read=False) for seed in range(count)]
    dy.esum([loss_of(nodes[-1]) for _, nodes in together]).backward(full=True)
    for (leaves, nodes), expected in zip(together, alone):
        actual = [value_of(nodes[-1].expression), *[leaf.gradient() for leaf in leaves]]
        for one, other in zip(actual, expected):
            assert_close(one, other, 2e-5)
