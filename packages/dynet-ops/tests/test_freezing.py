"""Freezing and unfreezing parameters between passes: each pass computes the gradients for the current setting."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import python_calls

import dynet_ops as dy
from dynet_core import Model, recorder, renew_cg
from dynet_core.compute.parameter_rows import PARAMETER_ROWS

compiled = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no compiled code")


def new_parameters():
    model = Model()
    return [model.parameters_from_numpy([number]) for number in (2.0, 3.0, 5.0)] + [
        model.lookup_parameters_from_numpy([[1.0], [7.0]])
    ]


def loss_of(parameters, factor=1.0):
    *dense, table = parameters
    loss = table[1] * factor
    for parameter in dense:
        loss = dy.cmult(loss, parameter)
    return loss


VALUES = [2.0, 3.0, 5.0, 7.0]
PRODUCT = 210.0
steps = st.one_of(
    st.tuples(st.just("freeze"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("graph"), st.sampled_from([1.0, 2.0])),
    st.tuples(st.sampled_from(["value", "backward", "extend"])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=30))
def test_any_order(actions):
    parameters = new_parameters()
    expected, trained = [0.0] * 4, [True] * 4
    factor = 1.0
    renew_cg()
    loss = loss_of(parameters)
    for action, *numbers in actions:
        if action == "freeze":
            place, frozen = numbers
            parameters[place].set_updated(not frozen)
            trained[place] = not frozen
        elif action == "graph":
            (factor,) = numbers
            renew_cg()
            loss = loss_of(parameters, factor)
        elif action == "extend":
            loss, factor = loss * 2.0, factor * 2.0
        elif action == "value":
            assert loss.value() == PRODUCT * factor
        else:
            loss.backward()
            for place, value in enumerate(VALUES):
                expected[place] += trained[place] * PRODUCT * factor / value
        *dense, table = parameters
        found = [*(p.grad_as_array().item() for p in dense), table.grad_as_array()[1].item()]
        assert found == pytest.approx(expected)


def test_a_flag_that_stays_the_same_changes_nothing():
    for parameter in new_parameters():
        for updated in (True, False):
            parameter.set_updated(updated)
            before = PARAMETER_ROWS.version, PARAMETER_ROWS.unfreeze_count
            parameter.set_updated(updated)
            assert (PARAMETER_ROWS.version, PARAMETER_ROWS.unfreeze_count) == before


@compiled
def test_the_next_graph_is_computed_by_compiled_code():
    parameters = new_parameters()
    for number in range(6):
        parameters[0].set_updated(number % 2 == 0)
        renew_cg()
        loss = loss_of(parameters)
        calls = python_calls(loss.value) + python_calls(loss.backward)
        assert calls == [] or number == 0
