"""Keyword arguments of recording functions, in both recorders, against the behavior of a Python function."""

import inspect
import itertools

import pytest

from dynet_core import recorder, renew_cg
from dynet_core.dim import Dim
from dynet_core.graph import current
from dynet_core.recorder import commit, python_recorder

RECORDERS = [pytest.param(recorder, id=recorder.DESCRIPTION.partition(":")[0])]
if recorder.DESCRIPTION == "compiled":
    RECORDERS.append(pytest.param(python_recorder, id="python"))


def product(x, index=7, dim=0):
    """Documentation."""


def required(x, index, dim):
    """Documentation."""


FUNCTIONS = [product, required]


def bound(function, arguments, named):
    """The arguments as a Python function would receive them, or None if it refuses."""
    try:
        given = inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        return None
    given.apply_defaults()
    return tuple(given.arguments.values())


def calls():
    """All calls with up to three positional arguments and up to three keywords in any order."""
    for count in range(5):
        for most in range(4):
            for names in itertools.permutations(("x", "index", "dim", "other"), most):
                yield (*range(10, 10 + count),), {name: k for k, name in enumerate(names)}


@pytest.mark.parametrize("module", RECORDERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_arguments_are_those_of_a_python_function(module, function):
    seen = []
    record = module.describe(module.function("index", lambda x, index=7, dim=0: seen.append((x, index, dim))), function)
    refused = 0
    for arguments, named in calls():
        seen.clear()
        expected = bound(function, arguments, named)
        if expected is None:
            with pytest.raises(TypeError, match=rf"^{function.__name__}\(\)") as caught:
                record(*arguments, **named)
            message = str(caught.value)
            assert not seen and message != f"{function.__name__}()"
            refused += 1
        else:
            record(*arguments, **named)
            assert seen == [expected], (arguments, named)
    assert refused > 100


@pytest.mark.parametrize("module", RECORDERS)
@pytest.mark.parametrize(
    ("arguments", "named", "named_in_the_message"),
    [
        ((), {}, "'x'"),
        ((1,), {}, "'index'"),
        ((1, 2), {"index": 3}, "'index'"),
        ((1, 2, 3), {"other": 4}, "'other'"),
        ((1, 2, 3), {"x": 4}, "'x'"),
        ((1, 2, 3, 4), {}, "takes 3 arguments, x, index, dim, but 4 were given"),
        ((1,), {"dim": 3}, "'index'"),
    ],
)
def test_errors_name_the_argument(module, arguments, named, named_in_the_message):
    record = module.describe(module.function("index", lambda *given: pytest.fail("called")), required)
    with pytest.raises(TypeError) as caught:
        record(*arguments, **named)
    assert str(caught.value).startswith("required(): ") and named_in_the_message in str(caught.value)


@pytest.mark.parametrize("module", RECORDERS)
def test_a_recording_function_is_described_as_the_python_function_is(module):
    record = module.describe(module.function("index", lambda *given: None), product)
    assert record.__name__ == "product" and record.__qualname__ == "product" and record.__doc__ == "Documentation."
    assert record.__module__ == __name__ and record.__wrapped__ is product
    assert inspect.signature(record) == inspect.signature(product)


@pytest.mark.parametrize("module", RECORDERS)
def test_what_is_around_gets_each_unusual_call(module):
    seen = []
    record = module.function("index", lambda x, index, dim: seen.append((x, index, dim)) or "inner")
    record = module.describe(record, required, around=lambda inner, *given: (inner(*given), "outer"))
    assert record(1, dim=3, index=2) == ("inner", "outer") and seen == [(1, 2, 3)]


@pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python knows no quick ways")
def test_keywords_in_order_are_as_quick_as_places():
    """They do not reach Python; keywords in another order do, with the same result."""
    renew_cg()
    result, seen = Dim.of((1,)), []

    def index(x, index):
        """Documentation."""

    def unusual(x, index):
        seen.append(index)
        return commit(result, 1, (8,), (x, index), current().records.version)

    record = recorder.describe(recorder.function("index", unusual), index)
    x = commit(Dim.of((3,)), 1, (0,), (), current().records.version)
    record.enter((x.type,), 9, result, 3)
    built = "".join(["ind", "ex"])  # an equal name that may be a different object
    for call in (lambda: record(x, 1), lambda: record(x, index=1), lambda: record(x=x, index=1)):
        assert call().type is result and not seen
    for call in (lambda: record(index=1, x=x), lambda: record(x, **{built: 1})):
        assert call().type is result
    assert len(seen) <= 2 and set(seen) <= {1}
    renew_cg()
