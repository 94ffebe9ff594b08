"""Freed expressions: a bounded number is kept for reuse, and the rest are released."""

import gc
import os
import subprocess
import sys

import pytest

from dynet_core import recorder

if recorder.DESCRIPTION != "compiled":
    pytest.skip("the recorder in Python frees each expression", allow_module_level=True)

from dynet_core import ParameterCollection, renew_cg
from dynet_core.dim import Dim
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_core.recorder import commit
from dynet_core.recorder.shared import MOST_FREE_EXPRESSIONS, SHARED

DIM = Dim.of((3,))


def make(count):
    return [commit(DIM, 1, (0,), (), current().records.version) for _ in range(count)]


@pytest.fixture(autouse=True)
def graph():
    """A graph whose records are never computed."""
    renew_cg()
    yield
    renew_cg()


def test_the_collector_of_garbage_does_not_look_at_expressions():
    has_gc = 1 << 14
    assert not Expression.__flags__ & has_gc
    (x,) = make(1)
    assert not gc.is_tracked(x) and gc.get_referents(x) == []
    gc.collect()
    assert x.type is DIM


def test_what_is_free_is_bounded():
    held = make(MOST_FREE_EXPRESSIONS + 1000)
    begin = SHARED["free_count"]
    del held[:100]
    assert SHARED["free_count"] == min(MOST_FREE_EXPRESSIONS, begin + 100)
    held.clear()
    assert SHARED["free_count"] == MOST_FREE_EXPRESSIONS
    held = make(100)
    assert SHARED["free_count"] == MOST_FREE_EXPRESSIONS - 100
    del held


def test_what_is_free_serves_again():
    (x,) = make(1)
    address, at = id(x), x.at
    del x
    (x,) = make(1)
    assert id(x) == address and x.at == at + 1  # the same memory, another node


def test_the_type_is_not_referred_to_by_each_that_has_been():
    begin = sys.getrefcount(Expression)
    for _ in range(5):
        held = make(2 * MOST_FREE_EXPRESSIONS)
        assert sys.getrefcount(Expression) <= begin + 2 * MOST_FREE_EXPRESSIONS + 10
        del held
    assert sys.getrefcount(Expression) <= begin + MOST_FREE_EXPRESSIONS + 10


def test_parameters_and_objects_of_other_types_are_freed_and_let_go_of_their_type():
    kinds = [type(ParameterCollection().add_parameters(2)), type(ParameterCollection().add_lookup_parameters((2, 2)))]
    gc.collect()
    begin = [sys.getrefcount(kind) for kind in kinds]
    free = SHARED["free_count"]
    for _ in range(300):
        model = ParameterCollection()
        model.add_parameters(2)
        model.add_lookup_parameters((2, 2))
        del model
    gc.collect()
    assert SHARED["free_count"] == free
    for kind, count in zip(kinds, begin):
        assert sys.getrefcount(kind) < count + 20


BOUNDED = """
import sys
from dynet_core import renew_cg
from dynet_core.dim import Dim
from dynet_core.graph import current
from dynet_core.recorder import commit
from dynet_core.recorder.shared import SHARED
renew_cg()
held = [commit(Dim.of((3,)), 1, (0,), (), current().records.version) for _ in range(100)]
del held[::2]
print(SHARED["free_count"], end=" ")
before = sys.getallocatedblocks()
held.clear()
print(SHARED["free_count"], before - sys.getallocatedblocks() >= 50 - int(sys.argv[1]))
"""


@pytest.mark.parametrize("bound", [0, 1, 7, 1000])
def test_the_bound_is_chosen_by_the_environment(bound):
    """With a bound of 0, each expression is released immediately, as memory checkers need."""
    environment = {**os.environ, "DYNET_EXPRESSION_CHAIN": str(bound)}
    command = [sys.executable, "-W", "error", "-c", BOUNDED, str(bound)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    expected = f"{min(bound, 50)} {min(bound, 100)} True\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize("bound", ["many", "1.5"])
def test_a_bound_that_is_no_number_is_refused_in_words(bound):
    environment = {**os.environ, "DYNET_EXPRESSION_CHAIN": bound}
    command = [sys.executable, "-c", "import dynet_core"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode and "DYNET_EXPRESSION_CHAIN" in done.stderr.splitlines()[-1]
