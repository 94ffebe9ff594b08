"""Small object files and programs that use them, for the tests of the cache."""

import ctypes
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dynet_kernels.cache import store

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX owners and modes")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
root_only = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")

# Writes f(address, x): *address = 2x + 1.
COMPILE = """
    def build(path):
        import tvm
        from tvm import ir, tirx
        from tvm.script.ir_builder import IRBuilder
        from tvm.tirx.script import builder as T

        def function(body):
            with IRBuilder() as builder:
                with T.prim_func(s_tir=True):
                    T.func_name(body.__name__)
                    address, number = T.arg("address", T.int64()), T.arg("number", T.int64())
                    pointer = T.reinterpret(ir.PointerType(ir.PrimType("int64")), address)
                    body(T.decl_buffer((1 << 40,), "int64", data=T.bind(pointer)), number)
            return builder.get()

        def f(memory, x):
            T.buffer_store(memory, 2 * x + 1, [tirx.const(0, "int64")])

        module = ir.IRModule({ir.GlobalVar("f"): function(f)})
        tvm.compile(module, target="llvm").mod.write_to_file(str(path))
"""
USE = """
    import ctypes
    def use(module, x=20):
        memory = (ctypes.c_int64 * 1)()
        module.get_function("f")(ctypes.addressof(memory), x)
        return memory[0]
"""


def start(program, *, arguments=(), environment=None, **options):
    """Start a Python process with this program, in a changed environment."""
    folders = [str(Path(store.__file__).parents[1]), str(Path(__file__).parent)]
    search = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": search, **(environment or {})}
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=env, **pipes, **options)


def run(*parts, **options):
    """Run a program, check that it succeeds, and return its stdout and stderr."""
    process = start("\n".join(map(textwrap.dedent, parts)), **options)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return output, errors


def use(module, x=20):
    memory = (ctypes.c_int64 * 1)()
    module.get_function("f")(ctypes.addressof(memory), x)
    return memory[0]


def set_age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def names(directory):
    return sorted(path.name for path in directory.iterdir())
