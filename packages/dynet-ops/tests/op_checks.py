"""Helpers that check calls that must fail, and which Python functions a call runs."""

import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.graph import current
from dynet_kernels.machine import sharing

sharing.use(sharing.thread_count())  # a fixed number, so that no pass whose calls are counted counts the cores again


def python_calls(function, *arguments, **named):
    """The names of the Python functions that a call runs."""
    called = []

    def note(frame, event, _):
        if event == "call":
            called.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        function(*arguments, **named)
    finally:
        sys.setprofile(None)
    return called


def check_refused(call, error, *parts):
    """Check that a call raises this error with these parts in its message, and leaves the graph usable."""
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    y = dy.tanh(x)
    graph = current()
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    for part in parts:
        assert part in str(caught.value)
    z = dy.sum_elems(y + x)
    assert z.value() == pytest.approx(np.tanh(1) + np.tanh(2) + 3)
    z.backward(full=True)
    assert x.gradient() == pytest.approx([2 - np.tanh(1) ** 2, 2 - np.tanh(2) ** 2])
    assert current() is graph


FOLDERS = [Path(sys.modules[name].__file__).parent for name in ("dynet_core", "dynet_ops")]


def calls_of_the_library(error):
    """How many calls within the library are between a user's line and an error."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    return sum(any(file.is_relative_to(folder) for folder in FOLDERS) for file in files)


def vector(size=3, batch=1):
    return dy.zeros((size,), batch)


def matrix(rows=2, columns=3, batch=1):
    return dy.zeros((rows, columns), batch)


def tensor():
    return dy.zeros((2, 3, 4))


def table():
    return Model().add_lookup_parameters((5, 2), name="words")
