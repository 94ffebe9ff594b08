"""Every kernel's CUDA source, compiled for Hopper by nvcc where there is one. Running it needs a GPU."""

import shutil
import subprocess

import pytest

import dynet  # noqa: F401  # fills the table of kernels
from dynet_kernels import machine
from dynet_kernels.kernels import KERNELS

NVCC = shutil.which("nvcc")


@pytest.fixture(scope="module")
def source():
    compiled = machine.compile_cuda(KERNELS)
    return compiled.imports[0].inspect_source()


def test_every_kernel_has_a_device_function(source):
    for name, _ in KERNELS.items():
        assert f" {machine.symbol_of(name).name_hint}(" in source, name


@pytest.mark.slow
@pytest.mark.skipif(NVCC is None, reason="there is no nvcc on this machine")
def test_nvcc_compiles_the_source(source, tmp_path):
    code, cubin = tmp_path / "kernels.cu", tmp_path / "kernels.cubin"
    code.write_text(source)
    done = subprocess.run(
        [NVCC, "-arch=sm_90", "--cubin", "-o", cubin, code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert cubin.read_bytes()[:4] == b"\x7fELF"
