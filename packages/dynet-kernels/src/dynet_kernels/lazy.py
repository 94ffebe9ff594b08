"""Stand-ins for the modules of TVM that emit code. Each imports its module when one of its attributes is first read.

Importing TVM takes a second. A program whose kernels are all in the cache never does it, although it imports the files
that define kernels, which also contain the code that emits them.
"""

from __future__ import annotations

import importlib
from typing import Any


class _Module:
    """A stand-in for a module, which is imported when one of its attributes is first read."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # `inspect` and other tools ask any object for these: this must not import TVM
            raise AttributeError(attribute)
        found = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, found)
        return found


ir: Any = _Module("tvm.ir")
tirx: Any = _Module("tvm.tirx")
ir_builder: Any = _Module("tvm.script.ir_builder")
T: Any = _Module("tvm.tirx.script.builder")
