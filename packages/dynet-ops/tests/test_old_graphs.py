"""Expressions of old graphs or of other threads are refused by every function that takes expressions."""

import asyncio
import threading

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import StaleExpressionError, renew_cg
from dynet_core.graph import current
from dynet_core.op import OPS
from dynet_ops.testing import Input, draw

STALE_USES = {
    "value": lambda x: x.value(),
    "npvalue": lambda x: x.npvalue(),
    "vec_value": lambda x: x.vec_value(),
    "scalar_value": lambda x: (dy.scalarInput(1.0), x.scalar_value()),
    "recalculation": lambda x: x.value(recalculate=True),
    "forward": lambda x: x.forward(),
    "backward": lambda x: x.backward(),
    "gradient": lambda x: x.gradient(),
    "set": lambda x: x.set(1.0),
    "+": lambda x: x + 1.0,
    "-": lambda x: 1.0 - x,
    "*": lambda x: x * 2.0,
    "/": lambda x: 1.0 / x,
    "negative": lambda x: -x,
    "+ of two": lambda x: x + x,
    "- of two": lambda x: dy.scalarInput(1.0) - x,
    "/ of two": lambda x: x / dy.scalarInput(1.0),
    "** of two": lambda x: x ** dy.scalarInput(1.0),
    "@ of two": lambda x: dy.scalarInput(1.0) @ x,
    "add": lambda x: dy.add(x, x),
    "subtract": lambda x: dy.subtract(dy.scalarInput(1.0), x),
    "cdiv": lambda x: dy.cdiv(x, dy.scalarInput(1.0)),
}


@pytest.mark.parametrize("name", STALE_USES)
@pytest.mark.parametrize("warm", [False, True], ids=["first", "again"])
def test_an_expression_of_an_old_graph(name, warm):
    renew_cg()
    x = dy.scalarInput(1.0)
    if warm and name not in ("gradient", "backward"):
        STALE_USES[name](x)
    renew_cg()
    with pytest.raises(StaleExpressionError, match="belongs to graph .* renew_cg") as caught:
        STALE_USES[name](x)
    if not hasattr(x, name) and name != "recalculation":
        assert str(caught.value).startswith(f"{'-' if name == 'negative' else name.split()[0]}: ")
    assert dy.scalarInput(2.0).value() == 2.0


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
@pytest.mark.parametrize("warm", [False, True], ids=["first", "again"])
def test_no_op_takes_an_expression_of_an_old_graph(op, warm):
    """An old expression is refused alone and together with operands of the current graph."""
    sample = op.samples[1]

    def record(operands):
        return op.record(operands, **sample.attributes) if sample.as_list else op.record(*operands, **sample.attributes)

    for place in range(len(sample.shapes)):
        renew_cg()
        if warm:
            record([Input(array).expression for array in draw(op, sample)])
        old = [Input(array).expression for array in draw(op, sample)]
        renew_cg()
        operands = [Input(array).expression for array in draw(op, sample)]
        operands[place] = old[place]
        graph = current()
        nodes, inputs = graph.records.integers(), graph.records.floats(0, graph.records.inputs_length).tolist()
        for these in (operands, old):
            with pytest.raises(StaleExpressionError, match="belongs to graph"):
                record(these)
        assert (graph.records.integers(), graph.records.floats(0, graph.records.inputs_length).tolist()) == (
            nodes,
            inputs,
        )


def test_operands_of_two_threads():
    renew_cg()
    x = dy.inputVector([1.0])
    caught = []

    def use():
        y = dy.inputVector([2.0])
        for call in (lambda: x + y, lambda: y * x, lambda: dy.esum([y, x]), lambda: dy.concatenate([x, y])):
            try:
                call()
            except StaleExpressionError as error:
                caught.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(caught) == 4
    assert all("thread" in message for message in caught)
    assert dy.tanh(x).value() == pytest.approx(np.tanh(1))


def test_in_a_coroutine_the_error_speaks_of_await():
    async def stale():
        x = dy.inputVector([1, 2])
        await asyncio.sleep(0)
        renew_cg()
        with pytest.raises(StaleExpressionError, match="between two awaits, or in a separate thread$"):
            dy.tanh(x)
        return x

    x = asyncio.run(stale())
    with pytest.raises(StaleExpressionError, match=r"loss.value\(\)$"):
        x.value()
