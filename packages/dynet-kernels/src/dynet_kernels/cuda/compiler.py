"""Compiles CUDA C to a cubin, with nvcc or the library nvrtc, which `pip install 'dynet-kernels[cuda]'` installs."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .driver import CudaError

# Names of the library nvrtc, newest first (new versions know more kinds of GPU), and its paths in NVIDIA's packages.
NVRTC = [f"libnvrtc.so.{version}" for version in (13, 12)] + [f"nvrtc64_{version}_0.dll" for version in (130, 120)]
NVRTC_IN_WHEELS = ("*/lib/libnvrtc.so.[0-9]*", "*/bin/nvrtc64_*_0.dll", "*/bin/*/nvrtc64_*_0.dll")
NVCC_TIMEOUT = 600  # seconds that nvcc may take for one file of kernels: enough on a busy machine


class NoCompilerError(CudaError):
    """Neither nvcc nor nvrtc is found, so kernels cannot be compiled."""

    def __init__(self):
        super().__init__(
            "neither nvcc (of the CUDA toolkit) nor nvrtc was found, one of which compiles the kernels: "
            "install the toolkit, or run `pip install 'dynet-kernels[cuda]'`"
        )


def find_nvcc() -> str | None:
    """Return the path of nvcc from PATH, CUDA_HOME, CUDA_PATH or the toolkit's usual directory."""
    homes = os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"
    folders = [f"{home}/bin" for home in homes if home]
    return shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(folders))


def find_nvrtc() -> str | None:
    """Return the name or path of an nvrtc that can be loaded, from the system or from NVIDIA's Python packages."""
    spec = importlib.util.find_spec("nvidia")
    folders = (spec.submodule_search_locations or []) if spec else []
    paths = [path for folder in folders for pattern in NVRTC_IN_WHEELS for path in sorted(Path(folder).glob(pattern))]
    for candidate in (*NVRTC, *map(str, paths)):
        try:
            ctypes.CDLL(candidate)
        except OSError:
            continue
        return candidate
    return None


def compiler_name() -> str:
    """Return the compiler that `compile` uses, "nvcc" or "nvrtc", or raise NoCompilerError."""
    if find_nvcc():
        return "nvcc"
    if find_nvrtc():
        return "nvrtc"
    raise NoCompilerError


def compile(source: str, arch: str) -> bytes:
    """Compile CUDA C for a kind of GPU, such as `sm_90`. Return the cubin, or raise CudaError."""
    return _compile_with_nvcc(source, arch) if compiler_name() == "nvcc" else _compile_with_nvrtc(source, arch)


def _compile_with_nvcc(source: str, arch: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="dynet-cuda-") as directory:
        code, cubin = Path(directory) / "kernels.cu", Path(directory) / "kernels.cubin"
        code.write_text(source)
        command = [str(find_nvcc()), f"-arch={arch}", "--cubin", "-o", cubin, code]
        process = subprocess.run(command, capture_output=True, text=True, timeout=NVCC_TIMEOUT)
        if process.returncode:
            raise CudaError(f"nvcc could not compile the kernels:\n{process.stderr[-4000:]}")  # the end of a long text
        return cubin.read_bytes()


def _compile_with_nvrtc(source: str, arch: str) -> bytes:
    library = ctypes.CDLL(str(find_nvrtc()))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    program = ctypes.c_void_p()

    def call(function: str, *arguments) -> None:
        status = getattr(library, f"nvrtc{function}")(*arguments)
        if status:
            raise CudaError(f"nvrtc{function}: {library.nvrtcGetErrorString(status).decode()}")

    def output(kind: str) -> bytes:
        size = ctypes.c_size_t()
        call(f"Get{kind}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        call(f"Get{kind}", program, text)
        return text.raw

    call("CreateProgram", ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    try:
        options = (ctypes.c_char_p * 1)(f"--gpu-architecture={arch}".encode())
        if library.nvrtcCompileProgram(program, len(options), options):
            log = output("ProgramLog").decode(errors="replace")
            raise CudaError(f"nvrtc could not compile the kernels:\n{log[-4000:]}")
        return output("CUBIN")
    finally:
        call("DestroyProgram", ctypes.byref(program))
