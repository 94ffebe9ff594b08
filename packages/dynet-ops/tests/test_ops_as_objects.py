"""Ops and expressions as Python objects: signatures, pickling, and attributes that cannot be changed."""

import pickle
import sys
import typing
import weakref

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ArgumentTypeError, recorder, renew_cg
from dynet_core.files.names import library_object
from dynet_core.graph.expression import Expression
from dynet_core.op import OPS
from dynet_core.recorder import FUNCTION_TYPE

compiled_only = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="ops recorded in Python are functions")


@compiled_only
@pytest.mark.parametrize("name", ["mine", "__name__", "__qualname__", "__doc__", "__module__", "__wrapped__", "enter"])
def test_an_op_takes_no_attributes(name):
    before = getattr(dy.tanh, name, None)
    with pytest.raises((AttributeError, TypeError)):
        setattr(dy.tanh, name, "other")
    with pytest.raises((AttributeError, TypeError)):
        delattr(dy.tanh, name)
    assert getattr(dy.tanh, name, None) == before


@compiled_only
def test_no_recording_function_is_made_by_its_type():
    for make in (FUNCTION_TYPE, lambda: FUNCTION_TYPE.__new__(FUNCTION_TYPE), lambda: object.__new__(FUNCTION_TYPE)):
        with pytest.raises(TypeError):
            make()
    with pytest.raises(TypeError):
        type("Mine", (FUNCTION_TYPE,), {})


RECORDED = {name: op for name, op in OPS.items() if type(op.record) is FUNCTION_TYPE and hasattr(dy, name)}


@pytest.mark.parametrize("op", RECORDED.values(), ids=RECORDED)
def test_an_op_is_found_by_its_name(op):
    if "<locals>" not in op.record.__qualname__:  # a Python function defined inside another one
        assert pickle.loads(pickle.dumps(op.record)) is op.record
        assert op.record.__name__ == op.record.__qualname__ == op.name
        assert op.record.__doc__


@compiled_only
@pytest.mark.parametrize("name", ["tanh", "softmax", "pick", "concatenate", "inputTensor"])
def test_an_op_tells_what_functions_tell(name):
    function = getattr(dy, name)
    documented = function.__wrapped__
    for fact in ("__annotations__", "__defaults__", "__kwdefaults__", "__globals__", "__code__", "__doc__"):
        assert getattr(function, fact) == getattr(documented, fact)
    assert typing.get_type_hints(function)["return"] is Expression
    assert weakref.ref(function)() is function
    assert {function: 1}[function] == 1


def test_elements_come_from_either_end():
    renew_cg()
    x = dy.inputVector([1.0, 2.0, 3.0])
    assert [e.value() for e in x] == [1.0, 2.0, 3.0]
    assert [e.value() for e in reversed(x)] == [3.0, 2.0, 1.0]


def test_no_expression_is_made_by_its_class():
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    for make in (lambda: Expression(0), lambda: type(x)(x), lambda: Expression.__new__(Expression, at=1)):
        with pytest.raises(TypeError, match="expressions are made by operations, such as dy.inputVector"):
            make()
    assert (x + x).value() == [2.0, 4.0]


def test_files_find_every_operation_by_its_name(monkeypatch):
    """Also where only this package is imported, and other packages have modules of the same names."""
    for module in ("dynet", "_dynet"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    names = [name for name in dy.__all__ if library_object(name) is not getattr(dy, name)]
    assert names == []


def test_without_arguments_its_class_makes_a_placeholder():
    """Programs assign one and replace it later."""
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    for e in (Expression(), Expression.__new__(Expression)):
        assert repr(e) == "unfinished Expression"
        assert isinstance(e, Expression) and e == e and e != x and {e: 1}[e] == 1
    del e
    many = [Expression() for _ in range(1000)]
    del many
    assert [(x + x).value() for _ in range(1000)] == [[2.0, 4.0]] * 1000


PLACEHOLDER = Expression()
USES_OF_A_PLACEHOLDER = {
    **{
        name: getattr(PLACEHOLDER, name)
        for name in ("value", "npvalue", "scalar_value", "vec_value", "tensor_value", "forward", "backward", "gradient",
                     "dim", "__len__", "__float__", "__int__", "__index__", "__round__", "__abs__", "__neg__")
    },
    **{name: lambda name=name: getattr(PLACEHOLDER, name) for name in ("shape", "T", "type")},
    "set": lambda: PLACEHOLDER.set([1.0]),
    "list": lambda: list(PLACEHOLDER),
    "[0]": lambda: PLACEHOLDER[0],
    "[0:1]": lambda: PLACEHOLDER[0:1],
    "<": lambda: PLACEHOLDER < 1,
    "%": lambda: PLACEHOLDER % 2,
    "format": lambda: f"{PLACEHOLDER:.2f}",
    "numpy.log": lambda: np.log(PLACEHOLDER),
    "numpy.float32 *": lambda: np.float32(2) * PLACEHOLDER,
    **{
        f"operand of {name}": function
        for name, function in {
            "x + e": lambda: dy.inputVector([1.0]) + PLACEHOLDER,
            "e + x": lambda: PLACEHOLDER + dy.inputVector([1.0]),
            "e * 2": lambda: PLACEHOLDER * 2,
            "tanh": lambda: dy.tanh(PLACEHOLDER),
            "esum": lambda: dy.esum([dy.inputVector([1.0]), PLACEHOLDER]),
            "pick": lambda: dy.pick(PLACEHOLDER, 0),
            "dropout": lambda: dy.dropout(PLACEHOLDER, 0.5),
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("use", USES_OF_A_PLACEHOLDER)
def test_a_placeholder_says_what_it_is(use):
    renew_cg()
    with pytest.raises(ArgumentTypeError, match="an unfinished Expression stands for no node, .*: replace it"):
        USES_OF_A_PLACEHOLDER[use]()
    assert not hasattr(PLACEHOLDER, "no_such_name")


@pytest.mark.parametrize("name", ["at", "version", "type", "mine", "value"])
def test_an_expression_is_not_changed(name):
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    with pytest.raises(AttributeError):
        setattr(x, name, 0)
    with pytest.raises(AttributeError):
        delattr(x, name)
    assert (x * 2).value() == [2.0, 4.0]
