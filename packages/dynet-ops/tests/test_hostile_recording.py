"""Misuse of recording functions, such as changing their internals, is refused without damage."""

import subprocess
import sys
import textwrap

import pytest

import dynet_ops as dy
from dynet_core import ArgumentTypeError, OutOfRangeError, StaleExpressionError, cg_checkpoint, cg_revert, renew_cg
from dynet_core.graph.expression import Expression


def test_slices_whose_length_overflows():
    m = dy.inputTensor([[1, 2], [3, 4]])
    assert m[0:1].npvalue().tolist() == [[1, 2]]  # now the length 1 is known
    for part in (slice(2**63 - 1, -(2**63)), slice(-(2**63), -(2**63) + 1), slice(2**63, 2**63 + 1)):
        with pytest.raises(OutOfRangeError):
            m[part]
    with pytest.raises(OutOfRangeError):
        dy.pickrange(m, 2**63 - 1, -(2**63))


def test_objects_that_claim_to_be_expressions():
    x = dy.inputVector([1, 2, 3])

    class Claimed(Expression):
        at, version, type = -(10**7), 0, x.type

    class Disguised:
        __class__ = Expression
        at, version, type = -(10**7), 0, x.type

    for claimed in (Claimed(), Disguised()):
        for use in (dy.tanh, lambda e: x + e, lambda e: dy.esum([x, e]), lambda e: dy.pick(e, 0)):
            with pytest.raises(ArgumentTypeError):
                use(claimed)
    assert dy.tanh(x).dim() == ((3,), 1)


def test_a_checkpoint_between_states_of_other_graphs():
    renew_cg()
    x = dy.inputVector([1, 2])
    cg_checkpoint()
    y = dy.tanh(x)
    cg_revert()
    with pytest.raises(StaleExpressionError, match="cg_revert has removed"):
        dy.esum([x, y])
    assert dy.esum([x, x]).value() == [2, 4]


def test_a_graph_is_renewed_by_a_finalizer_at_the_end_of_python():
    program = """
        import builtins, sys
        import dynet_ops as dy
        from dynet_core import renew_cg
        class Late:
            def __init__(self):
                self.renew = renew_cg
            def __del__(self):
                print(type(self.renew()).__name__)
        renew_cg()
        dy.scalarInput(1.0)
        builtins.late = Late()
        sys.late = Late()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("ComputationGraph\n")
