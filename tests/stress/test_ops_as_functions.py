"""Ops are objects of an extension type that pickle, bind and look like functions."""

import copy
import functools
import inspect
import os
import pickle
import pydoc
import subprocess
import sys

import numpy as np
import pytest

import dynet as dy


def run(program: str, *arguments, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=3600)


# Ops as functions

OPS = {
    "tanh": dy.tanh,
    "logistic": dy.logistic,
    "concatenate": dy.concatenate,
    "esum": dy.esum,
    "pick": dy.pick,
    "cmult": dy.cmult,
    "affine_transform": dy.affine_transform,
    "pickneglogsoftmax": dy.pickneglogsoftmax,
    "reshape": dy.reshape,
    "softmax": dy.softmax,
    "sum_elems": dy.sum_elems,
    "inputVector": dy.inputVector,
    "lookup": dy.lookup,
}


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_ops_pickle_by_name(name, protocol):
    op = OPS[name]
    text = pickle.dumps(op, protocol)
    assert pickle.loads(text) is op
    assert len(text) < 200
    assert copy.copy(op) is op and copy.deepcopy(op) is op and copy.deepcopy([op])[0] is op


@pytest.mark.parametrize("name", OPS)
def test_ops_say_what_they_are(name):
    op = OPS[name]
    module = sys.modules[op.__module__]
    assert getattr(module, name) is op
    assert op.__name__ == name and op.__qualname__ == name
    assert op.__doc__ and len(op.__doc__.splitlines()[0]) > 10
    signature = inspect.signature(op)
    assert signature.parameters
    text = pydoc.plain(pydoc.render_doc(op))
    assert f"{name}(" in text and op.__doc__.splitlines()[0] in text
    assert ", ".join(signature.parameters)[:10].split(",")[0] in text
    assert callable(op) and inspect.unwrap(op) is not None and repr(op)
    assert hash(op) == hash(op) and op == op and op != dy.exp


@pytest.mark.parametrize("name", OPS)
def test_ops_are_wrapped_as_functions_are(name):
    @functools.wraps(OPS[name])
    def wrapped(*arguments, **named):
        return OPS[name](*arguments, **named)

    assert wrapped.__name__ == name and wrapped.__doc__ == OPS[name].__doc__
    assert inspect.signature(wrapped) == inspect.signature(OPS[name])


def test_an_op_in_a_class_binds_as_a_function_does():
    class Mine(list):
        joined = dy.concatenate
        summed = dy.esum
        static = staticmethod(dy.tanh)

    dy.renew_cg()
    mine = Mine([dy.inputVector([1.0]), dy.inputVector([2.0])])
    assert mine.joined().value() == [1.0, 2.0]
    assert mine.summed().value() == 3.0
    assert Mine.joined(mine).value() == [1.0, 2.0]
    assert Mine.static(mine[0]).value() == pytest.approx(np.tanh(1))


KEYWORDS = {
    "tanh": lambda x: (x,),
    "square": lambda x: (x,),
    "softmax": lambda x: (x,),
    "sum_elems": lambda x: (x,),
    "exp": lambda x: (x,),
    "log_softmax": lambda x: (x,),
    "logistic": lambda x: (x,),
    "sqrt": lambda x: (dy.square(x),),
    "sum_batches": lambda x: (x,),
    "squared_norm": lambda x: (x,),
    "cmult": lambda x: (x, x),
    "cdiv": lambda x: (x, x),
    "dot_product": lambda x: (x, x),
    "squared_distance": lambda x: (x, 1 - x),
    "pick": lambda x: (x, 1),
    "pick_range": lambda x: (x, 0, 2),
    "concatenate": lambda x: ([x, x],),
    "esum": lambda x: ([x, x, x],),
    "average": lambda x: ([x, x, x],),
    "affine_transform": lambda x: ([x, dy.inputTensor(np.eye(3)), x],),
    "pickneglogsoftmax": lambda x: (x, 1),
    "reshape": lambda x: (x, (1, 3)),
    "transpose": lambda x: (x,),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_ops_take_keywords(name):
    dy.renew_cg()
    op, given = getattr(dy, name), KEYWORDS[name](dy.inputVector([1.0, 2.0, 3.0]))
    names = list(inspect.signature(op).parameters)[: len(given)]
    expected = op(*given).npvalue()
    for _ in range(2):  # the second time, shapes are known
        np.testing.assert_array_equal(op(**dict(zip(names, given))).npvalue(), expected, strict=True)
        np.testing.assert_array_equal(op(given[0], **dict(zip(names[1:], given[1:]))).npvalue(), expected)
    for wrong in ({"nonsense": 1}, {names[0]: given[0]}):
        with pytest.raises(TypeError):
            op(*given, **wrong)
    with pytest.raises(TypeError):
        op()
    with pytest.raises(TypeError):
        op(*given, *[1] * 9)


@pytest.mark.skipif(os.environ.get("DYNET_RECORDER") == "python", reason="ops are Python functions there")
@pytest.mark.parametrize("name", ["tanh", "concatenate", "pick"])
def test_attributes_of_ops_change_nothing(name):
    """Runs in a separate process, because attributes that are set may stay."""
    program = f"""
import dynet as dy
op = dy.{name}
for attribute, value in (("__name__", "other"), ("__doc__", "other"), ("__module__", "os"), ("mine", 1),
                         ("__self__", None), ("__call__", print), ("__code__", (lambda: 0).__code__),
                         ("__defaults__", (1,)), ("record", print), ("__class__", int), ("__dict__", {{}}),
                         ("__wrapped__", print), ("__kwdefaults__", None)):
    try:
        setattr(op, attribute, value)
    except (AttributeError, TypeError, ValueError):
        continue
    if attribute in ("__code__", "__defaults__"):
        raise SystemExit("code of an op was changed")
x = dy.inputVector([1.0, 2.0])
arguments = {{"tanh": (x,), "concatenate": ([x, x],), "pick": (x, 1)}}["{name}"]
assert op(*arguments).npvalue() is not None
"""
    done = run(program)
    assert (done.returncode, done.stderr) == (0, "")


def test_ops_go_to_other_processes(tmp_path):
    program = """
import multiprocessing
import dynet as dy
def apply(op, x):
    return op(dy.inputVector(x)).value()
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.starmap(apply, [(dy.softmax, [1.0, 1.0]), (dy.sum_elems, [1.0, 2.0])]))
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    done = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[[0.5, 0.5], 3.0]\n")
