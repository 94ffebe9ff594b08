"""The whole planner run as ordinary Python writes the same integers as compiled code, for graphs of real programs.

Before each pass, the planner's context and buffers are copied. The functions of `dynet_kernels.plan` plan the pass on
the copy, compiled code plans it on the original, and all integers are compared.
"""

import ctypes
import gc
import random

import numpy as np
import pytest

import dynet as dy
from dynet_core.compute import device
from dynet_core.compute.parameter_rows import PARAMETER_ROWS
from dynet_core.graph import current
from dynet_core.recorder import next_generation
from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT
from dynet_kernels.machine import sharing
from dynet_kernels.plan import PLANNERS

# Buffers that the planner does not write, or that planning does not use.
READ = ("parameters", "new_records", "sharing", "threads", "ahead", "changes", "changed", "index", "tape")


class Copy:
    """A copy of the context at an address, of all buffers written by planning, and of the lists of touched rows."""

    def __init__(self, context: int):
        engine = current().engine
        assert engine.context_address == context
        self.engine, self.slots = engine, np.array(engine.slots)
        self.buffers = {name: array.copy() for name, array in engine.buffers.items() if name not in READ}
        for name, array in self.buffers.items():
            assert self.slots[CONTEXT[name]] == engine.buffers[name].ctypes.data, name
            self.slots[CONTEXT[name]] = array.ctypes.data
        self.rows = engine.parameter_rows.copy()
        self.slots[CONTEXT.parameters] = self.rows.ctypes.data
        self.touched = []
        unused = {*PARAMETER_ROWS.free_rows, *PARAMETER_ROWS.retired_rows}  # their lists have been freed
        for number, row in enumerate(self.rows.reshape(-1, len(at.PARAMETER))):
            if row[at.PARAMETER.touched] and number not in unused:
                size = 2 + 2 * int(row[at.PARAMETER.rows])
                list_ = (ctypes.c_int64 * size).from_address(int(row[at.PARAMETER.touched]))
                ours = (ctypes.c_int64 * size)(*list_)
                row[at.PARAMETER.touched] = ctypes.addressof(ours)
                self.touched.append((ours, list_))

    def compare(self) -> int:
        """Compare everything with the output of compiled code; return the number of integers compared."""
        compared = 0
        for name, array in self.buffers.items():
            different = np.flatnonzero(array != self.engine.buffers[name])
            assert not different.size, (name, different[:9], array[different[:9]])
            compared += array.size
        for name in CONTEXT:
            ours, theirs = self.slots[CONTEXT[name]], self.engine.slots[CONTEXT[name]]
            if name in at.BUFFERS:
                continue
            assert ours == theirs, (name, ours, theirs)
        for name in ("index", "tape"):
            directions = [
                [way for way in ("forward", "backward") if slots[CONTEXT[name]] == slots[CONTEXT[f"{way}_{name}"]]]
                for slots in (self.slots, self.engine.slots)
            ]
            assert directions[0] == directions[1] != []
        assert all([*ours] == [*theirs] for ours, theirs in self.touched)
        return compared + len(CONTEXT) + sum(len(ours) for ours, _ in self.touched)


@pytest.fixture
def seen():
    """Plan every forward and backward pass in both ways. Return the statuses, and the number of integers."""
    gc.collect()
    gc.disable()  # tables of other tests keep their memory until this one is over
    machine = device.machine_in_use()
    passes, watched = [], machine.is_watched
    machine.is_watched = True
    next_generation()  # graphs request the machine's functions again
    usual = {name: getattr(machine, name) for name in ("forward", "backward")}

    def both_ways(name):
        compiled = getattr(machine, f"plan_{name}")

        def call(context, *arguments):
            copy = Copy(context)
            PLANNERS[name](copy.slots.ctypes.data, *arguments)
            status = compiled(context, *arguments)
            passes.append((name, status, copy.compare()))
            if status == at.READY:
                machine.run(context)
            return int(current().engine.slots[CONTEXT.status])

        return call

    for name in usual:
        setattr(machine, name, both_ways(name))
    yield passes
    for name, function in usual.items():
        setattr(machine, name, function)
    machine.is_watched = watched
    next_generation()
    gc.enable()


class Model:
    def __init__(self):
        self.m = m = dy.ParameterCollection()
        self.E, self.W, self.U = m.add_lookup_parameters((50, 8)), m.add_parameters((8, 8)), m.add_parameters((8, 8))
        self.b, self.V = m.add_parameters(8), m.add_parameters((5, 8))
        self.rnn = dy.BiRNNBuilder(1, 8, 8, m, dy.VanillaLSTMBuilder)
        self.gru = dy.GRUBuilder(1, 8, 8, m)

    def tree(self, leaves):
        if leaves == 1:
            return dy.tanh(self.W * self.E[random.randrange(50)] + self.b)
        left = random.randrange(1, leaves)
        return dy.tanh(dy.affine_transform([self.b, self.W, self.tree(left), self.U, self.tree(leaves - left)]))

    def trees(self):
        return dy.esum([dy.squared_norm(self.tree(random.randrange(1, 20))) for _ in range(8)])

    def tagger(self):
        losses = []
        for _ in range(3):
            words = [self.E[random.randrange(50)] for _ in range(random.randrange(2, 12))]
            losses += [dy.pickneglogsoftmax(self.V * h, random.randrange(5)) for h in self.rnn.transduce(words)]
        return dy.esum(losses)

    def words_again(self):
        """Minibatches with recurring words, so that equal columns are computed once."""
        W = self.wide
        state = self.gru.initial_state()
        for _ in range(3):
            x = dy.lookup_batch(self.E, [random.randrange(6) for _ in range(64)])
            state = state.add_input(x + dy.inputVector([0.5] * 8))
        far = dy.esum([dy.tanh(W * self.far[random.randrange(5)]) for _ in range(64)])
        return dy.sum_batches(dy.squared_norm(state.output())) + dy.squared_norm(far)

    @property
    def wide(self):
        if not hasattr(self, "_wide"):
            self._wide, self.far = self.m.add_parameters((128, 128)), self.m.add_lookup_parameters((9, 128))
        return self._wide

    def pieces(self):
        """Aliases, operands that share a view, and gradients that are copied."""
        xs = [dy.tanh(self.W * self.E[random.randrange(50)]) for _ in range(12)]
        pairs = [dy.concatenate([x, y]) for x, y in zip(xs, xs[1:])]
        sizes = [dy.squared_norm(p[2:9]) + dy.sum_elems(dy.reshape(p, (4, 4)) * xs[0][0:4]) for p in pairs]
        return dy.esum([*sizes, dy.squared_norm(dy.average(xs)), dy.sum_elems(dy.emax(xs)), dy.dot_product(*xs[:2])])

    def many_signatures(self):
        """Too many signatures for each to have a stage of its own."""
        xs = [dy.inputVector([0.5] * (1 + k)) for k in range(at.MOST_NUMBERED // 2 + 4)]
        return dy.esum([dy.sum_elems(dy.tanh(x)) for x in xs]) + dy.squared_norm(self.W * self.E[3])


PROGRAMS = ["trees", "tagger", "words_again", "pieces", "many_signatures"]


@pytest.fixture(params=[1, 2])
def threads(request):
    """With two threads, every instruction that can be shared is shared; passes are planned by one thread."""
    with sharing.using(request.param, 1, 1 << 40):
        yield


@pytest.mark.few(each=2)
@pytest.mark.parametrize("program", PROGRAMS)
def test_python_plans_what_compiled_code_plans(seen, threads, program):
    random.seed(1)
    model = Model()
    for turn in range(4):
        dy.renew_cg()
        random.seed(turn // 2)  # each graph comes twice; the second time, its plan is reused
        loss = getattr(model, program)()
        loss.value()
        loss.backward(full=turn == 3)
    assert [name for name, status, _ in seen if status == at.READY] == ["forward", "backward"] * 4
    assert sum(count for _, _, count in seen) > 10_000


def test_graphs_that_grow_and_are_cut_back(seen):
    random.seed(1)
    model = Model()
    dy.renew_cg()
    first = model.trees()
    first.value()
    first.backward()
    dy.cg_checkpoint()
    second = first + model.pieces()
    second.value()
    second.backward()
    first.backward()
    dy.cg_revert()
    third = first + model.tagger()
    third.backward()
    assert third.value() == third.npvalue()


def test_frozen_parameters_and_losses_that_are_aliases(seen):
    random.seed(1)
    model = Model()
    model.E.set_updated(False)
    model.W.set_updated(False)
    for turn in range(2):
        dy.renew_cg()
        h = model.tree(5)
        loss = dy.reshape(h, (2, 4))[0:1]
        total = dy.sum_elems(loss)
        total.value()
        total.backward(full=bool(turn))
        part = h[3]
        part.value()
        part.backward()


def test_room_is_asked_for_alike(seen):
    """Buffers for lists and instructions that are too small: both ask for the same room."""
    model = Model()
    dy.renew_cg()
    random.seed(1)
    engine = current().engine
    for name in ("forward_index", "forward_tape", "backward_index", "backward_tape"):
        del engine.buffers[name]
        engine._grow_buffer(name, 8)
    engine.discard_plans()
    loss = model.trees()
    loss.value()
    loss.backward()
    assert {way for way, status, _ in seen if status == at.TOO_SMALL} == {"forward", "backward"}
