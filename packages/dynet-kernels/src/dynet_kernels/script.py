"""TVMScript, read without looking up the source of every caller.

At each use of a macro, TVM 0.27 asks `inspect.getouterframes` for all frames, with the lines of source around them: 9
of the 11 CPU seconds that the planners take to be read. It needs no more than the frames.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tvm.script.parser.core.parser import ScriptMacro


def _find_parser_def(macro: ScriptMacro):
    """The parser that a caller left among its globals."""
    frame = sys._getframe(1)
    while frame is not None:
        parser = frame.f_globals.get(ScriptMacro.parser_object_name)
        if parser is not None:
            return parser
        frame = frame.f_back
    raise RuntimeError(f"{ScriptMacro.parser_object_name} not available")


@contextmanager
def quick_macros() -> Iterator[None]:
    """Have TVM's parser find itself by frames alone for the length of a `with` block."""
    theirs = ScriptMacro._find_parser_def
    ScriptMacro._find_parser_def = _find_parser_def
    try:
        yield
    finally:
        ScriptMacro._find_parser_def = theirs
