"""Calls a function, such as a signal handler, at the n-th library line that another function executes."""

import gc
import sys


def lines_of(act, handle, line):
    """Call `act`, and `handle` at its n-th line of the library. Return whether `act` has that many lines.

    Garbage collection is off meanwhile: finalizers of objects left by other tests do not count as lines of `act`.
    """
    left, before, collects = line, sys.gettrace(), gc.isenabled()

    def trace(frame, event, _):
        nonlocal left
        if event == "line" and frame.f_globals["__name__"].startswith("dynet"):
            left -= 1
            if not left:
                sys.settrace(None)
                handle()
        return trace

    gc.disable()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return left <= 0
