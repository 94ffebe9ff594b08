"""The modules of TVM. No other file imports them, so if TVM renames them, only this file changes.

A module is imported when one of its attributes is first used, because importing TVM takes a second. A program whose
kernels are all cached never needs TVM's compiler, although it imports our files that emit kernels.
"""

from __future__ import annotations

import importlib
from typing import Any


class _Module:
    """A stand-in for a module, which is imported when one of its attributes is first read."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # do not import TVM when `inspect` or another tool reads such attributes
            raise AttributeError(attribute)
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value


# The modules of the compiler
tvm: Any = _Module("tvm")
ir: Any = _Module("tvm.ir")
tirx: Any = _Module("tvm.tirx")
ir_builder: Any = _Module("tvm.script.ir_builder")
T: Any = _Module("tvm.tirx.script.builder")
# The modules that load and run compiled code
tvm_ffi: Any = _Module("tvm_ffi")
tvm_ffi_orcjit: Any = _Module("tvm_ffi_orcjit")


def load_ffi() -> None:
    """Load the shared library libtvm_ffi, which TVM's other libraries need, by importing `tvm_ffi`."""
    importlib.import_module("tvm_ffi")
