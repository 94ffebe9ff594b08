"""The recorder's paths can be debugged as plain Python: users step through them and see their lines in tracebacks."""

import bdb
import ctypes
import inspect
import sys
import traceback
from pathlib import Path

import pytest
from uncompiled import taken, vectorcall

import dynet_ops as dy
from dynet_core import recorder, renew_cg
from dynet_core.graph import current
from dynet_kernels.recorder import operations
from dynet_kernels.recorder.c_functions import FUNCTIONS
from dynet_kernels.recorder.extension import write_objects
from dynet_kernels.target import host_cpu

FILE = inspect.getsourcefile(operations)


def line_of(text):
    """The line number of the first line of the module `operations` that contains this text."""
    lines = inspect.getsource(operations).splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


class Stops(bdb.Bdb):
    """A debugger that notes where it stopped in `operations`, and the local names there."""

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
    y = taken(debugger.runcall(FUNCTIONS["one"].run_as_python, *numbers))
    ((number, names),) = [stop for stop in debugger.stops if stop[0] == last]
    assert number == last and held
    assert (names["x"].address, names["x"].at) == (id(x), x.at)
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


@pytest.mark.parametrize("kind", ["one", "vector", "commit", "take", "sparse"])
def test_an_interrupt_at_any_line_leaves_whole_records(kind):
    """Compiled code is never interrupted. In Python, only replacing a buffer and writing the counts must not be."""
    renew_cg()
    for _ in range(100):
        dy.scalarInput(1.0)  # so that the buffers have room
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    version = current().records.version
    record, arguments = {
        "one": (dy.tanh, (x,)), "vector": (dy.scalarInput, (1.0,)), "take": (recorder.take, ((1.0, 2),)),
        "commit": (recorder.commit, (x.type, 1, (0,), [x], version)),
        "sparse": (dy.sparse_inputTensor, ([[0, 1]], [1.0, 2.0], [3])),
    }[kind]  # fmt: skip
    record(*arguments)
    numbers, held = vectorcall(record, arguments)
    whole = {"one": [2, 1, 0], "vector": [2, 1, 1], "take": [0, 0, 2], "commit": [2, 1, 0], "sparse": [2, 1, 3]}[kind]
    folder, turn, stopped = str(Path(FILE).parent), -1, True
    while stopped:
        lines, turn, before = 0, turn + 1, current().records.ends()

        def trace(frame, event, _, turn=turn):
            nonlocal lines
            if not frame.f_code.co_filename.startswith(folder) or frame.f_code.co_name.startswith("finish"):
                return None
            lines += event == "line"
            if event == "line" and lines > turn:
                raise KeyboardInterrupt
            return trace

        stopped, outer = False, sys.gettrace()
        sys.settrace(trace)
        try:
            taken(FUNCTIONS[kind].run_as_python(*numbers))
        except KeyboardInterrupt:
            stopped = True
        finally:
            sys.settrace(outer)
        counts = [now - then for now, then in zip(current().records.ends(), before)]
        whole = {"one": [2, 1, 0], "vector": [2, 1, 1], "take": [0, 0, 2], "commit": [2, 1, 0], "sparse": [2, 1, 3]}[
            kind
        ]
        assert counts in ([0, 0, 0], whole) and held
    assert counts == whole and turn > 5
