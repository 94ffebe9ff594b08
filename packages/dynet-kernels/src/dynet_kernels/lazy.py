"""The parts of TVM that emitters need. Each is imported when something of it is first used.

Kernels are described in the files of their emitters, and a program that finds all its code in the cache never imports
TVM, which takes a second.
"""

from __future__ import annotations

import importlib
from typing import Any


class _Module:
    """A module that is imported when it is first asked for something."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked by tools that look at any object, such as inspect
            raise AttributeError(attribute)
        found = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, found)
        return found


ir: Any = _Module("tvm.ir")
tirx: Any = _Module("tvm.tirx")
ir_builder: Any = _Module("tvm.script.ir_builder")
T: Any = _Module("tvm.tirx.script.builder")
