"""Compiles C functions whose bodies are written in TIR, TVM's intermediate code.

CPython expects a C function to return an object or NULL, but functions that TVM compiles for a CPU can only return an
int32, which must be 0. So each C function consists of two functions. The *body*, in TIR, stores its result at an
address that it gets as an argument. The *trampoline*, a few lines of LLVM IR text, calls the body with this address and
returns the result that it finds there. TVM's LLVM compiles this text, too.

The trampoline also gives the body the address of the shared words (`words.SHARED`). It reads this address from a global
variable, which is set when the code is loaded.

A C function is described by a `CFunction`: an entry (see `plain`), which gets the shared words and the C function's
parameters. All are int64. If the entry has no result, the trampoline calls another C function with the same arguments.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..machine import compile_cpu
from ..plain import Words
from ..plain.lowering import NO_RESULT, result_at
from ..tvm_modules import T, ir, ir_builder, tvm, tvm_ffi
from .c_api import OURS, extern
from .structures import Object, Shared

shared_at = 0  # for functions that run uncompiled: the address of the shared words
Entry = TypeVar("Entry", bound=Callable)


@dataclass(frozen=True)
class CFunction:
    """A C function.

    Args:
        path: the entry, called with the shared words, and then with the parameters.
        otherwise: the name of the C function to call if the entry has no result; "": it always has one.
        key: if recording functions have this function, how many words a key has in their tables.
    """

    path: Callable
    otherwise: str = ""
    key: int = 0

    @property
    def parameters(self) -> list[str]:
        return list(inspect.signature(self.path).parameters)[1:]

    def python(self, *arguments: int) -> int:
        """Run the entry uncompiled."""
        result = self.path(Shared(shared_at), *arguments)
        if result is not None:
            return result
        return FUNCTIONS[self.otherwise].python(*arguments) if self.otherwise else 0


FUNCTIONS: dict[str, CFunction] = {}
"""All C functions by their names. Those whose names begin with `dynet_` are also called by other compiled code."""


def c_function(name: str = "", otherwise: str = "") -> Callable[[Entry], Entry]:
    """Decorator: make an entry a C function. Without a `name`, it has that of the entry."""

    def declare(path: Entry) -> Entry:
        function = FUNCTIONS[name or path.__name__] = CFunction(path, otherwise)
        OURS[name] = function.python
        return path

    return declare


def write_objects(functions: dict[str, CFunction], folder: Path, target) -> list[bytes]:
    """Compile C functions. Return the contents of two object files: one has their bodies, the other their trampolines.

    It imports TVM.

    Args:
        functions: the functions by their names.
        folder: a folder for temporary files.
        target: the TVM target that describes the CPU.
    """

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
            # With a `calling_conv` other than 0, TVM keeps the parameters of the function as they are. With 0, the
            # default, it would replace them by one array.
            T.func_attr({"calling_conv": 1, "global_symbol": f"body_{name}"})
            T.func_ret(ir.PrimType("int32"))
            shared, *arguments, out = [T.arg(each, T.int64()) for each in ("shared", *function.parameters, "out")]
            with result_at(Words(out)):
                function.path(Shared(shared), *arguments)
    return builder.get()


TP_FREE = 74  # an argument of PyType_GetSlot: the number of the slot `tp_free` (Py_tp_free in CPython's headers)

# LLVM IR of a function that frees the memory of an expression. Compiled code calls it for each expression that stands
# for a parameter; and for any other one if enough freed expressions are kept for reuse already.
FREE_OBJECT = f"""
declare i64 @PyType_GetSlot(i64, i32)
declare void @Py_DecRef(i64)
define i64 @dynet_free_object(i64 %object) {{
  %words = inttoptr i64 %object to ptr
  %type_at = getelementptr i64, ptr %words, i64 1
  %type = load i64, ptr %type_at
  %found = call i64 @PyType_GetSlot(i64 %type, i32 {TP_FREE})
  %free = inttoptr i64 %found to ptr
  call void %free(i64 %object)
  call void @Py_DecRef(i64 %type)
  ret i64 0
}}"""

# LLVM IR of a function that calls a TVM function with `count` arguments. It releases Python's global lock (the GIL)
# during the call, and returns 0 if the call has succeeded.
CALL = """
declare i64 @PyEval_SaveThread()
declare void @PyEval_RestoreThread(i64)
declare i32 @TVMFFIFunctionCall(i64, i64, i32, ptr)
define i64 @dynet_call(i64 %function, i64 %arguments, i64 %count) {
  %result = alloca [2 x i64]
  store [2 x i64] zeroinitializer, ptr %result
  %number = trunc i64 %count to i32
  %state = call i64 @PyEval_SaveThread()
  %status = call i32 @TVMFFIFunctionCall(i64 %function, i64 %arguments, i32 %number, ptr %result)
  call void @PyEval_RestoreThread(i64 %state)
  %wide = sext i32 %status to i64
  ret i64 %wide
}"""


def free_object(object_at: int) -> int:
    """Do the same as FREE_OBJECT, for uncompiled functions."""
    kind = Object(object_at).type
    ctypes.PYFUNCTYPE(None, ctypes.c_int64)(extern("PyType_GetSlot", kind, TP_FREE))(object_at)
    return extern("Py_DecRef", kind)


def call(function: int, arguments: int, count: int) -> int:
    """Do the same as CALL, for uncompiled functions."""
    result = (ctypes.c_int64 * 2)()
    handles = map(ctypes.c_void_p, (function, arguments))
    return tvm_ffi.LIB.TVMFFIFunctionCall(*handles, ctypes.c_int32(count), result)


OURS.update(dynet_free_object=free_object, dynet_call=call)


def _trampolines(functions: dict[str, CFunction], target) -> str:
    text, stores = ["@shared = internal global i64 0", FREE_OBJECT, CALL], []
    for place, (name, function) in enumerate(functions.items()):
        text.append(_trampoline(name, function))
        stores += [
            f"  %p{place} = getelementptr i64, ptr %table, i64 {place}",
            f"  store i64 ptrtoint (ptr @{name} to i64), ptr %p{place}",
        ]
    return "\n".join(
        [
            *text,
            "define i32 @__tvm_ffi_addresses(ptr %self, ptr %arguments, i32 %count, ptr %result) {",
            # TVM passes each argument in 16 bytes: 8 for its type, then 8 for its value. So the values of the two
            # arguments are at offsets 8 and 24.
            "  %first = getelementptr i8, ptr %arguments, i64 8",
            "  %table = load ptr, ptr %first",
            "  %second = getelementptr i8, ptr %arguments, i64 24",
            "  %given = load i64, ptr %second",
            "  store i64 %given, ptr @shared",
            *stores,
            "  ret i32 0\n}",
            f'!llvm.module.flags = !{{!0}}\n!0 = !{{i32 4, !"tvm_target", !"{_described(target)}"}}\n',
        ]
    )


def _trampoline(name: str, function: CFunction) -> str:
    given = ", ".join(f"i64 %{parameter}" for parameter in function.parameters)
    types = ", ".join(["i64"] * (2 + len(function.parameters)))
    lines = [
        f"declare i32 @body_{name}({types})",
        f"define i64 @{name}({given}) {{",
        "  %result = alloca i64",
        "  %out = ptrtoint ptr %result to i64",
        "  %shared = load i64, ptr @shared",
        f"  %status = call i32 @body_{name}(i64 %shared, {given}{', ' * bool(given)}i64 %out)",
        "  %value = load i64, ptr %result",
    ]
    if function.otherwise:
        lines += [
            f"  %undone = icmp eq i64 %value, {NO_RESULT}",
            "  br i1 %undone, label %otherwise, label %end",
            "otherwise:",
            f"  %other = call i64 @{function.otherwise}({given})",
            "  ret i64 %other",
            "end:",
        ]
    return "\n".join([*lines, "  ret i64 %value\n}"])


def _described(target) -> str:
    """Return a TVM target as text, with escapes so that it can be a string in LLVM IR."""
    return str(target).replace("\\", "\\5C").replace('"', "\\22")
