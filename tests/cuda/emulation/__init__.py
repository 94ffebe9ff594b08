"""Emulates CUDA without a GPU: a fake driver, and a compiler that turns CUDA C into libraries for this CPU.

Call `install()` before anything asks for a GPU. See driver.cpp for the errors that the emulation detects.
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from dynet_kernels.cuda import compiler, driver

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")
KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\((\d+)\) )?(\w+)\(([^)]*)\) \{')
SHARED = re.compile(r"__shared__ (?:alignas\(\d+\) )?(\w+) (\w+)\[(\d+)\];")


def build(sources, library, *options):
    """Compile C++ into a shared library with g++."""
    done = subprocess.run(
        [COMPILER, "-std=c++17", "-O1", "-w", "-shared", "-fPIC", *options, *map(str, sources), "-o", str(library)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise driver.CudaError(f"g++ could not compile:\n{done.stderr[:4000]}")


@functools.cache
def install():
    """Make this process use the emulated driver and compiler. Returns the driver's library."""
    with tempfile.TemporaryDirectory(prefix="cuda-emulation-") as directory:
        path = Path(directory) / "libcuda.so.1"
        build([HERE / "driver.cpp"], path, f"-Wl,-soname,{driver.LIBRARY}", "-O2", "-ldl", "-U_FORTIFY_SOURCE")
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    for number in ("launches", "bytes_in_use", "bytes_uploaded", "bytes_downloaded"):
        getattr(library, f"emulated_{number}").restype = ctypes.c_uint64
    compiler.compile = compile
    compiler.compiler_name = name
    return library


def name():
    """The name of the emulated compiler: its libraries are cached until its sources change."""
    files = [HERE / file for file in ("__init__.py", "emulation.h")]
    return f"emulation {hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()}"


def compile(source, arch):
    """Compile a library for this CPU, which the emulated driver accepts as a cubin."""
    source = SHARED.sub(r"Shared<\1, \3> \2(__LINE__);", source)
    parts = ['#include "emulation.h"', source]
    for threads, name, parameters in KERNEL.findall(source):
        types = [parameter.strip().rsplit(" ", 1)[0].replace("__restrict__", "") for parameter in parameters.split(",")]
        arguments = ", ".join(f"*({kind}*)a[{place}]" for place, kind in enumerate(types))
        parts.append(f'extern "C" UNSEEN void emulated_{name}(void** a) {{ {name}({arguments}); }}')
        parts.append(f'extern "C" const unsigned threads_of_{name} = {threads or 1024};')
    with tempfile.TemporaryDirectory(prefix="cuda-emulation-") as directory:
        code, library = Path(directory) / "kernels.cpp", Path(directory) / "kernels.so"
        code.write_text("\n".join(parts))
        options = ["-fsanitize=thread", "-fno-strict-aliasing", "-ffp-contract=off"]
        # The library of -fsanitize=thread is left out: the emulated driver has its functions.
        object_file = library.with_suffix(".o")
        build([code], object_file, "-c", *options, f"-I{HERE}")
        build([object_file], library, "-nodefaultlibs", "-lm", "-lc")
        return library.read_bytes()


@contextmanager
def order(name):
    """Run threads `forward` or `backward`."""
    variable = b"CUDA_EMULATION_ORDER"
    ctypes.CDLL(None).setenv(variable, os.fsencode(name), 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).unsetenv(variable)
