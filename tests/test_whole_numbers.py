"""Whole floats and bools are accepted for every size, dimension, index and count; other numbers are refused.

`CALLS` has a row for each such argument of the public API; a test looks for arguments that have none.
"""

import inspect
import re

import numpy as np
import pytest
from whole_number_calls import CALLS, batch

import dynet as dy
from dynet_core.graph import current

WITH_BOOLS = [call for call in CALLS if {0, 1} & {*(call.value if isinstance(call.value, list) else [call.value])}]


SAME = {
    "float": float,
    "numpy.float64": np.float64,
    "numpy.float32": np.float32,
    "numpy.longdouble": np.longdouble,
    "numpy.int64": np.int64,
    "array of no dimensions": lambda n: np.array(float(n)),
    "array of an int": np.array,
    "array of a list": lambda n: np.array([n]),
}
WRONG = {
    "4.7": 4.7,
    "nan": np.nan,
    "inf": np.inf,
    "numpy.float64(4.7)": np.float64(4.7),
    "numpy.float32(-0.5)": np.float32(-0.5),
    "array(4.7)": np.array(4.7),
}
of_calls = pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.name}-{call.argument}")


def of_each(change, value):
    return [change(n) for n in value] if isinstance(value, list) else change(value)


def comparable(found):
    """Convert a result to a form that `==` compares."""
    if isinstance(found, (list, tuple)):
        return [comparable(one) for one in found]
    if isinstance(found, dy.Expression):
        return found.dim(), found.npvalue().tolist()
    if isinstance(found, dy.Tensor):
        return found.as_numpy().tolist()
    return found.tolist() if isinstance(found, np.ndarray) else found


def result(call, value):
    dy.reset_random_seed(1)
    return comparable(call.make(value))


@of_calls
def test_whole_numbers_of_other_types_are_what_they_are_as_ints(call):
    wanted = result(call, call.value)
    for name, change in SAME.items():
        assert result(call, of_each(change, call.value)) == wanted, name
    if isinstance(call.value, list):
        for given in (np.array(call.value, float), np.array(call.value), tuple(map(float, call.value))):
            assert result(call, given) == wanted, repr(given)


@pytest.mark.parametrize("kind", [bool, np.bool_])
@pytest.mark.parametrize("call", WITH_BOOLS, ids=lambda call: f"{call.name}-{call.argument}")
def test_bools_are_one_and_zero(call, kind):
    """Bools are ints, as in DyNet."""
    wanted = result(call, call.value)
    assert result(call, of_each(lambda n: kind(n) if n in (0, 1) else n, call.value)) == wanted


@pytest.mark.parametrize(
    "wrong", [pytest.param(name, marks=[pytest.mark.thorough] * (name not in ("4.7", "nan"))) for name in WRONG]
)
@of_calls
def test_other_numbers_are_refused_with_the_value(call, wrong):
    shown = re.escape(re.search(r"-?\d\.\d|nan|inf", wrong).group())
    refused = pytest.raises(dy.ArgumentError, match=rf"must be a whole number, not .*{shown}")
    several = isinstance(call.value, list)
    value = [*call.value[:-1], WRONG[wrong]] if several else WRONG[wrong]
    dy.renew_cg()
    with refused:
        call.make(value)
    if several:
        with refused:
            call.make(np.array(value, float))


@pytest.mark.parametrize(
    "of", [lambda x, n: x[n, 0:1], lambda x, n: dy.pick(x, n), lambda x, n: dy.select_rows(x, [0, n])]
)
def test_a_refused_number_leaves_the_graph_as_it_was(of):
    x = batch()
    before = current().records.length
    with pytest.raises(dy.ArgumentError):
        of(x, 1.5)
    assert current().records.length == before


LEFT_OUT = re.compile(
    r"^(Graph|_TreeBuilder)\.|\.draw$|\._[a-z]|Schedule\.__call__$"  # called only by the library
    r"|^((Lookup)?Parameters|Tensor|TreeState|LayersBuilder|_RNNBuilder)\.__init__"
    r"|^LSTMBuilder\."  # an alias of CoupledLSTMBuilder, which warns
    r"|^Unsigned(Vector)?Value\."  # see dynet-core's test_mutable_values
    r"|^DeviceInfo\.|\.set_gpu_mask$"  # returned by get_device_info; flags
)


def arguments():
    """Each int or list-of-ints argument of the public API, by the names that the table may use for it."""
    for name in dy._PUBLIC:
        public = getattr(dy, name)
        methods = inspect.getmembers(public, inspect.isroutine) if inspect.isclass(public) else [("", public)]
        for method, function in methods:
            owners = [name] if method == "__init__" else [kind.__name__ for kind in getattr(public, "__mro__", ())]
            names = [f"{owner}.{method}" for owner in owners] or [name]
            if not any(map(LEFT_OUT.search, names)):
                for argument, kind in getattr(function, "__annotations__", {}).items():
                    if argument != "return" and re.search(r"\b(int|Index)\b", str(kind)):
                        yield names, argument


def test_every_such_argument_is_in_the_table():
    known = {(call.name, call.argument) for call in CALLS}
    assert [
        (sorted(names), argument) for names, argument in arguments() if not known & {(n, argument) for n in names}
    ] == []
