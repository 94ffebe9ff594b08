"""Runs programs, read line by line as JSON lists of instructions, with the requested recorder.

The first output line names the recorder in use. An instruction is an op's number and three more numbers, which choose
operands from earlier records. For each program it prints one line: the graph as text, and values, gradients and errors,
bit for bit.
"""

import json
import sys

import numpy as np

import dynet as dy
from dynet_core import recorder
from dynet_core.pictures import dot

dy.reset_random_seed(1)
MODEL = dy.ParameterCollection()
SHAPES = ((3,), (1,), (3, 3), (2, 3), (1, 3))
numbers = np.random.default_rng(1)
PARAMETERS = [MODEL.parameters_from_numpy(numbers.uniform(-1, 1, shape)) for shape in SHAPES]
TABLE = MODEL.lookup_parameters_from_numpy(numbers.uniform(-1, 1, (5, 3)))
NETWORKS = [dy.VanillaLSTMBuilder(2, 3, 3, MODEL), dy.GRUBuilder(1, 3, 3, MODEL), dy.SimpleRNNBuilder(1, 3, 3, MODEL)]
TREES = dy.ChildSumTreeLSTMBuilder(1, 3, 3, MODEL)
TRAINER = dy.SimpleSGDTrainer(MODEL, 0.1)
FIRST = [p.as_array() for p in MODEL.parameters_list()], TABLE.as_array()


class Program:
    """The records of a program. Its operands are arbitrary, so that errors are also compared."""

    def __init__(self):
        self.nodes = [dy.inputVector([0.5, -0.25, 1.0])]
        self.errors: list[str] = []

    def operand(self, k: int):
        """Usually a node that has been recorded, or else a parameter."""
        return PARAMETERS[k // 10 % len(PARAMETERS)] if k % 10 == 0 else self.nodes[k % len(self.nodes)]

    def alike(self, k: int, x):
        """A node of the same shape, possibly x itself."""
        found = [n for n in self.nodes if n.dim() == x.dim()] or [x]
        return found[k % len(found)]

    def vector(self, k: int):
        found = [n for n in self.nodes if n.dim() == ((3,), 1)]
        return found[k % len(found)]

    def step(self, op: int, a: int, b: int, c: int) -> None:
        """Record by instruction `op` of the table."""
        try:
            found = OPS[op % len(OPS)](self, a, b, c)
        except (dy.DynetError, TypeError, ValueError, IndexError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            return
        self.nodes += found if isinstance(found, (list, tuple)) else [found]

    def inputs(self, a, b, c):
        values = [k / 8 for k in range(a, a + 1 + b % 4)]
        return dy.inputVector(values) if c % 2 else dy.inputTensor(np.array(values))

    def set_input(self, a, b, c):
        """An input that is set to new values."""
        x = dy.inputVector([0.0, 0.0, 0.0])
        if c % 2:
            (x + 1).value()
        values = [a / 8, b / 8, c / 8]
        x.set([values, np.array(values), np.array(values, np.float32)][a % 3])
        return x

    def add_network(self, a, b, c):
        start = NETWORKS[a % 3].initial_state()
        xs = [self.vector(b + k) for k in range(1 + c % 4)]
        if a % 2:
            return start.transduce(xs)
        states = start.add_inputs(xs)
        return [*[state.output() for state in states], *states[-1].s()]

    def add_tree(self, a, b, c):
        leaf = TREES.initial_state().add_input(self.vector(a))
        return leaf.output()


OPS = (
    # one operand
    lambda p, a, b, c: dy.tanh(p.operand(a)),
    lambda p, a, b, c: dy.logistic(p.operand(a)),
    lambda p, a, b, c: -p.operand(a),
    lambda p, a, b, c: dy.softmax(p.operand(a)),
    lambda p, a, b, c: dy.sum_elems(p.operand(a)),
    lambda p, a, b, c: dy.transpose(p.operand(a)),
    lambda p, a, b, c: dy.square(x=p.operand(a)),
    # two
    lambda p, a, b, c: p.operand(a) + p.operand(b),
    lambda p, a, b, c: p.operand(a) * p.operand(b),
    lambda p, a, b, c: p.operand(a) - p.alike(b, p.operand(a)),
    lambda p, a, b, c: dy.cmult(p.operand(a), p.alike(b, p.operand(a))),
    lambda p, a, b, c: dy.squared_distance(p.operand(a), p.alike(b, p.operand(a))),
    lambda p, a, b, c: dy.dot_product(p.operand(a), p.operand(b)),
    # numbers
    lambda p, a, b, c: p.operand(a) * (b / 4),
    lambda p, a, b, c: (b / 4) * p.operand(a),
    lambda p, a, b, c: p.operand(a) + b % 3,
    lambda p, a, b, c: 1 - p.operand(a),
    lambda p, a, b, c: p.operand(a) / (1 + b % 3),
    lambda p, a, b, c: dy.tanh(p.operand(a)) ** 2,
    lambda p, a, b, c: p.operand(a) - np.float32(b),
    # many
    lambda p, a, b, c: dy.esum([p.alike(b + k, p.operand(a)) for k in range(c % 5)]),
    lambda p, a, b, c: dy.average([p.alike(b + k, p.operand(a)) for k in range(1 + c % 4)]),
    lambda p, a, b, c: dy.concatenate([p.operand(a + k) for k in range(1 + c % 5)]),
    lambda p, a, b, c: dy.concatenate([p.vector(a + k) for k in range(1 + c % 5)]),
    lambda p, a, b, c: dy.concatenate_cols([p.vector(a), p.vector(b)]),
    lambda p, a, b, c: dy.emax((p.vector(a), p.vector(b), p.vector(c))),
    lambda p, a, b, c: dy.affine_transform([PARAMETERS[0], PARAMETERS[2], p.vector(a)]),
    lambda p, a, b, c: dy.affine_transform([p.operand(a), PARAMETERS[2], p.operand(b), PARAMETERS[2], p.vector(c)]),
    # attributes
    lambda p, a, b, c: dy.pick(p.operand(a), b % 4),
    lambda p, a, b, c: p.operand(a)[b % 4 - 1],
    lambda p, a, b, c: p.operand(a)[b % 2 : 1 + c % 4],
    lambda p, a, b, c: dy.pick_range(p.operand(a), b % 2, 1 + c % 4),
    lambda p, a, b, c: dy.pickneglogsoftmax(p.vector(a), b % 4),
    lambda p, a, b, c: dy.pickneglogsoftmax(p.operand(a), v=b % 3),
    lambda p, a, b, c: dy.reshape(p.operand(a), (1, p.operand(a).dim()[0][0])),
    lambda p, a, b, c: dy.hinge(p.vector(a), b % 3),
    lambda p, a, b, c: dy.dropout(p.vector(a), 0.0),
    lambda p, a, b, c: dy.dropout(p.vector(a), 0.5),
    lambda p, a, b, c: [dy.noise(p.vector(a), 1.0), dy.random_normal((3,)), dy.random_bernoulli((3,), 0.5)],
    lambda p, a, b, c: [p.operand(a).npvalue(True), p.operand(b)][1],
    lambda p, a, b, c: dy.softmax(p.operand(a), b % 2),
    lambda p, a, b, c: dy.sum_dim(p.operand(a), [b % 2], c % 2 == 1),
    lambda p, a, b, c: p.set_input(a, b, c),
    lambda p, a, b, c: dy.layer_norm(p.vector(a), p.vector(b), p.vector(c)),
    # leaves
    Program.inputs,
    lambda p, a, b, c: dy.inputVector([a / 8, b / 8, c / 8]),
    lambda p, a, b, c: dy.scalarInput(a / 8),
    lambda p, a, b, c: dy.inputTensor(np.arange(6.0).reshape(2, 3) / (1 + a)),
    lambda p, a, b, c: dy.zeros((3,)),
    lambda p, a, b, c: TABLE[a % 6],
    lambda p, a, b, c: dy.lookup(TABLE, b % 5, update=bool(a % 2)),
    lambda p, a, b, c: dy.sum_batches(dy.lookup_batch(TABLE, [a % 5, b % 5, c % 6])),
    lambda p, a, b, c: dy.lookup_batch(TABLE, [a % 5, b % 5]),
    lambda p, a, b, c: PARAMETERS[a % 5].expr(update=bool(b % 2)) * 1.0,
    # networks
    Program.add_network,
    Program.add_network,
    Program.add_tree,
    # intermediate values
    lambda p, a, b, c: [p.operand(a).npvalue(), dy.inputVector([1.0, 2.0, 3.0])][1],
    # misuse
    lambda p, a, b, c: dy.tanh(a),
    lambda p, a, b, c: dy.esum([p.operand(a), b]),
    lambda p, a, b, c: p.operand(a) + "text",
)


def run(instructions: list[list[int]]) -> dict:
    """Record a program, compute and differentiate it."""
    dy.reset_random_seed(1)
    for p, values in zip(MODEL.parameters_list(), FIRST[0]):
        p.set_value(values)
    dy.renew_cg()
    program = Program()
    for instruction in instructions:
        program.step(*instruction)
    text = dot(dy.cg())
    values = [node.npvalue().tobytes().hex() for node in program.nodes]
    loss = dy.esum([dy.sum_elems(dy.sum_batches(dy.tanh(node))) for node in program.nodes])
    (loss + dy.sum_elems(PARAMETERS[0])).backward()
    gradients = [p.grad_as_array().tobytes().hex() for p in [*MODEL.parameters_list(), TABLE]]
    numbers = [[node.at, *node.dim()[0]] for node in program.nodes]
    try:
        TRAINER.update()  # the gradients are zero after it
    except dy.GradientError as error:  # and after this
        program.errors.append(str(error))
    TABLE.init_from_array(FIRST[1])
    return {"graph": text, "at": numbers, "values": values, "gradients": gradients, "errors": program.errors}


if __name__ == "__main__":
    print(json.dumps({"recorder": recorder.DESCRIPTION}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
