"""A user can step through the recorder's paths, which are plain Python, and sees their lines in tracebacks."""

import bdb
import ctypes
import inspect
import traceback

import pytest

import dynet_ops as dy
from dynet_core import recorder, renew_cg

if recorder.DESCRIPTION != "compiled":
    pytest.skip("the recorder in Python is not compiled", allow_module_level=True)

from uncompiled import taken, vectorcall

from dynet_kernels.recorder import operations
from dynet_kernels.recorder.extension import write_objects
from dynet_kernels.recorder.functions import FUNCTIONS
from dynet_kernels.target import host_cpu

FILE = inspect.getsourcefile(operations)


def line_of(text):
    """The number of the first line of the module `operations` with this text."""
    lines = inspect.getsource(operations).splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


class Stops(bdb.Bdb):
    """A debugger that notes at which lines of `operations` it has stopped, and the local names there."""

    def __init__(self):
        super().__init__()
        self.stops = []

    def user_line(self, frame):
        if frame.f_code.co_filename == FILE:
            self.stops.append((frame.f_lineno, dict(frame.f_locals)))
        self.set_continue()


def test_a_breakpoint_in_a_path_stops_at_its_line():
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    dy.tanh(x)
    numbers, held = vectorcall(dy.tanh, (x,))
    last = line_of("return here.append(row.result, row.signature, x.at)")
    debugger = Stops()
    assert not debugger.set_break(FILE, last)
    y = taken(debugger.runcall(FUNCTIONS["one"].python, *numbers))
    ((number, names),) = [stop for stop in debugger.stops if stop[0] == last]
    assert number == last and held
    assert (names["x"].address, names["x"].at, names["row"].found) == (id(x), x.at, 1)
    assert ctypes.cast(names["row"].result, ctypes.py_object).value is y.type
    assert y.npvalue() == pytest.approx(dy.tanh(x).npvalue())


def test_an_error_while_code_is_emitted_shows_the_plain_line(tmp_path, monkeypatch):
    def broken(*arguments):
        raise ValueError("a bug")

    monkeypatch.setattr(operations, "find", broken)
    with pytest.raises(ValueError, match="a bug") as caught:
        write_objects({"one": FUNCTIONS["one"]}, tmp_path, host_cpu().tvm_target())
    frames = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == FILE]
    assert (frames[-1].name, frames[-1].line) == ("one", "row = find(function, x.dim)")
    assert frames[-1].lineno == line_of("row = find(function, x.dim)")
    monkeypatch.undo()
    assert all(
        write_objects(
            {"one": FUNCTIONS["one"], "dynet_slowly": FUNCTIONS["dynet_slowly"]}, tmp_path, host_cpu().tvm_target()
        )
    )
