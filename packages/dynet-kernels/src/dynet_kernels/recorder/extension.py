"""Compiles C functions whose bodies are written in TIR.

CPython expects a C function to return an object or NULL, but functions that TVM compiles for a CPU can only return an
int32, which must be 0. So each C function consists of two functions. The *body*, in TIR, stores its result at an
address that it gets as an argument. The *trampoline*, a few lines of LLVM IR, calls the body and returns the stored
result. It also passes the address of the shared words, from a global variable that is set when the code is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..machine.modules import compile_cpu
from ..plain import Words, entry
from ..plain.lowering import NO_RESULT, result_at
from ..tvm_modules import T, ir, ir_builder, tvm
from .c_api import REPLACEMENTS
from .structures import Shared

shared_address = 0  # the address of the shared words, for functions that run as Python
Entry = TypeVar("Entry", bound=Callable)


@dataclass(frozen=True)
class CFunction:
    """A C function that is generated from an entry.

    Args:
        entry: the entry. Its first parameter is the shared words; the others are the C function's parameters.
        fallback: the name of the C function to call if the entry has no result, or "" if it always has one.
        key_size: for a fast path, how many words a key in its recording functions' tables has.
    """

    entry: Callable
    fallback: str = ""
    key_size: int = 0

    @property
    def parameters(self) -> list[str]:
        return list(inspect.signature(self.entry).parameters)[1:]

    def run_as_python(self, *arguments: int) -> int:
        result = self.entry(Shared(shared_address), *arguments)
        if result is not None:
            return result
        return FUNCTIONS[self.fallback].run_as_python(*arguments) if self.fallback else 0


FUNCTIONS: dict[str, CFunction] = {}
"""All C functions by name. Other compiled code also calls the functions whose names begin with `dynet_`."""


def c_function(name: str = "", fallback: str = "") -> Callable[[Entry], Entry]:
    """Decorator: make a function an entry, and the body of a C function, named `name` or else like the function."""

    def declare(function: Entry) -> Entry:
        function, c_name = entry(function), name or function.__name__
        FUNCTIONS[c_name] = CFunction(function, fallback)
        REPLACEMENTS[c_name] = FUNCTIONS[c_name].run_as_python
        return function

    return declare


def write_objects(functions: dict[str, CFunction], folder: Path, target) -> list[bytes]:
    """Compile C functions. Return two object files: the bodies and the trampolines. Imports TVM."""
    module = ir.IRModule({ir.GlobalVar(f"body_{name}"): _body(name, function) for name, function in functions.items()})
    bodies, text, trampolines = (folder / name for name in ("bodies.o", "trampolines.ll", "trampolines.o"))
    compile_cpu(module, target).write_to_file(str(bodies))
    text.write_text(_trampolines(functions, target))
    tvm.runtime.load_module(str(text)).write_to_file(str(trampolines))
    return [bodies.read_bytes(), trampolines.read_bytes()]


def _body(name: str, function: CFunction) -> Any:
    with ir_builder.IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_name(f"body_{name}")
            # With the default `calling_conv`, 0, TVM would replace the parameters by one array.
            T.func_attr({"calling_conv": 1, "global_symbol": f"body_{name}"})
            T.func_ret(ir.PrimType("int32"))
            shared, *arguments, out = [T.arg(each, T.int64()) for each in ("shared", *function.parameters, "out")]
            with result_at(Words(out)):
                function.entry(Shared(shared), *arguments)
    return builder.get()


# The function `addresses` takes the address of a list whose first item is the address of the shared words. It stores
# this item, and overwrites the list with the C functions' addresses. TVM passes an argument as 16 bytes: type, value.
ADDRESSES_LLVM = """\
@shared = internal global i64 0
define i32 @__tvm_ffi_addresses(ptr %self, ptr %arguments, i32 %count, ptr %result) {{
  %first = getelementptr i8, ptr %arguments, i64 8
  %table = load ptr, ptr %first
  %given = load i64, ptr %table
  store i64 %given, ptr @shared
  store [{count} x ptr] [{addresses}], ptr %table
  ret i32 0
}}
!llvm.module.flags = !{{!0}}
!0 = !{{i32 4, !"tvm_target", !"{target}"}}
"""
TRAMPOLINE_LLVM = """
declare i32 @body_{name}({parameters})
define i64 @{name}({given}) {{
  %result = alloca i64
  %out = ptrtoint ptr %result to i64
  %shared = load i64, ptr @shared
{stores}  %status = call i32 @body_{name}({parameters})
  %value = load i64, ptr %result
{otherwise}
  ret i64 %value
}}
"""
# Stores an argument for the fallback. Without `volatile`, LLVM would hold it in a register that must first be saved.
STORE_LLVM = "  %{0}_at = alloca i64\n  store volatile i64 %{0}, ptr %{0}_at\n"
FALLBACK_LLVM = """\
  %undone = icmp eq i64 %value, {NO_RESULT}
  br i1 %undone, label %otherwise, label %end
otherwise:
{loads}  %other = call i64 @{otherwise}({again})
  ret i64 %other
end:"""
LOAD_LLVM = "  %{0}_again = load volatile i64, ptr %{0}_at\n"


def _trampolines(functions: dict[str, CFunction], target) -> str:
    target_text = str(target).replace("\\", "\\5C").replace('"', "\\22")  # escaped for a string in LLVM IR
    addresses = ", ".join(f"ptr @{name}" for name in functions)
    text = [ADDRESSES_LLVM.format(count=len(functions), addresses=addresses, target=target_text)]
    for name, function in functions.items():
        names, fallback = function.parameters, function.fallback
        given, again = (", ".join(f"i64 %{parameter}{end}" for parameter in names) for end in ("", "_again"))
        stores, loads = ("".join(map(line.format, names)) if fallback else "" for line in (STORE_LLVM, LOAD_LLVM))
        otherwise = FALLBACK_LLVM.format(NO_RESULT=NO_RESULT, otherwise=fallback, loads=loads, again=again)
        parts = {"parameters": f"i64 %shared, {given}, i64 %out", "otherwise": otherwise if fallback else ""}
        text.append(TRAMPOLINE_LLVM.format(name=name, given=given, stores=stores, **parts))
    return "".join(text)
