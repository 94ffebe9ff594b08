"""What handlers and interrupts may do at any line of the library."""

import sys


def lines_of(act, handle, line):
    """Call `act`, and `handle` at its n-th line of the library. Return whether it has so many lines."""
    left, before = line, sys.gettrace()

    def trace(frame, event, _):
        nonlocal left
        if event == "line" and frame.f_globals["__name__"].startswith("dynet"):
            left -= 1
            if not left:
                sys.settrace(None)
                handle()
        return trace

    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return left <= 0
