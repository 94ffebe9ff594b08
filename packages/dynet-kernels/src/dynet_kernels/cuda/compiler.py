"""CUDA C to a cubin, by nvcc or, without a toolkit, by the nvrtc of the extra `dynet-kernels[cuda]`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .driver import CudaError

PATIENCE = 600  # seconds for a shard of kernels, on a busy machine


class NoCompilerError(CudaError):
    """There is neither nvcc nor nvrtc."""

    def __init__(self):
        super().__init__(
            "neither nvcc (of the CUDA toolkit) nor nvrtc was found, one of which compiles the kernels: "
            "install the toolkit, or run `pip install 'dynet-kernels[cuda]'`"
        )


def find_nvcc() -> str | None:
    """The toolkit's compiler: on the path, in CUDA_HOME or CUDA_PATH, or where toolkits usually are."""
    found = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    return found or next((path for home in homes if home and (path := shutil.which("nvcc", path=f"{home}/bin"))), None)


def has_nvrtc() -> bool:
    """Whether Python can call nvrtc."""
    try:
        return importlib.util.find_spec("cuda.bindings.nvrtc") is not None
    except ModuleNotFoundError:
        return False


def name() -> str:
    """Which compiler `compile` calls.

    Raises:
        NoCompilerError: there is none.
    """
    if find_nvcc():
        return "nvcc"
    if has_nvrtc():
        return "nvrtc"
    raise NoCompilerError


def compile(source: str, arch: str) -> bytes:
    """The cubin of some CUDA C for a kind of GPU, such as `sm_90`.

    Raises:
        CudaError: it cannot be compiled, or there is no compiler.
    """
    return _nvcc(source, arch) if name() == "nvcc" else _nvrtc(source, arch)


def _nvcc(source: str, arch: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="dynet-cuda-") as directory:
        code, cubin = Path(directory) / "kernels.cu", Path(directory) / "kernels.cubin"
        code.write_text(source)
        done = subprocess.run(
            [str(find_nvcc()), f"-arch={arch}", "--cubin", "-o", str(cubin), str(code)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise CudaError(f"nvcc could not compile the kernels:\n{done.stderr[-4000:]}")
        return cubin.read_bytes()


def _nvrtc(source: str, arch: str) -> bytes:
    from cuda.bindings import nvrtc  # type: ignore[import-not-found]

    def checked(result):
        status, *values = result
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CudaError(f"nvrtc: {nvrtc.nvrtcGetErrorString(status)[1].decode()}")
        return values[0] if values else None

    program = checked(nvrtc.nvrtcCreateProgram(source.encode(), b"kernels.cu", 0, [], []))
    options = [f"--gpu-architecture={arch}".encode(), *(f"-I{path}".encode() for path in _nvrtc_headers())]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = b" " * checked(nvrtc.nvrtcGetProgramLogSize(program))
        checked(nvrtc.nvrtcGetProgramLog(program, log))
        raise CudaError(f"nvrtc could not compile the kernels:\n{log.decode(errors='replace')[-4000:]}")
    cubin = b" " * checked(nvrtc.nvrtcGetCUBINSize(program))
    checked(nvrtc.nvrtcGetCUBIN(program, cubin))
    checked(nvrtc.nvrtcDestroyProgram(program))
    return cubin


def _nvrtc_headers() -> list[Path]:
    """Where the headers are that generated code includes; wheels of NVIDIA's put them beside their libraries."""
    homes = [Path(home) for name in ("CUDA_HOME", "CUDA_PATH") if (home := os.environ.get(name))]
    spec = importlib.util.find_spec("nvidia")
    for location in (spec.submodule_search_locations or []) if spec else []:
        homes += [path.parent for path in Path(location).glob("*/include")]
    homes.append(Path("/usr/local/cuda"))
    includes = [home / "include" for home in homes]
    return [path for include in includes for path in (include, include / "cccl") if path.is_dir()]
