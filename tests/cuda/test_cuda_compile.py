"""Compiles every kernel's CUDA C for Hopper with nvcc, if it is installed.

These tests run before those that load the emulated driver: nvrtc does not work in a process with it.
"""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import dynet  # noqa: F401  # fills the table of kernels
from dynet_kernels.cuda import codegen, compiler
from dynet_kernels.cuda.driver import CudaError
from dynet_kernels.cuda.machine import MOST_PARAMETERS, Source
from dynet_kernels.families.products import cuda_tiles
from dynet_kernels.kernels import function_name
from dynet_kernels.table import KERNELS


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The CUDA C of all kernels, many per file: starting a compiler takes longer than compiling a kernel."""
    from dynet_kernels.machine import library

    every = list(KERNELS.items())
    parts = [Source(dict(enumerate(every[at : at + 32])), "sm_90", "nvcc") for at in range(0, len(every), 32)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DYNET_CACHE_DIR", str(tmp_path_factory.mktemp("sources")))
        return library.load_modules(parts, load=bytes.decode, device=None)


def test_every_kernel_has_a_device_function_of_its_parameters(sources):
    """The launcher passes arguments by position: none may be missing or swapped."""
    found = {
        name: [word.split()[-1].strip("*") for word in parameters.split(",")]
        for source in sources
        for name, parameters in re.findall(r"__global__ void .*?(kernel_\w+)\(([^)]*)\) \{", source)
    }
    for name, kernel in KERNELS.items():
        assert len(kernel.parameters) <= MOST_PARAMETERS
        expected = ["memory", "index", "base", "count", *kernel.parameters]
        assert [given.removesuffix("_1") for given in found[function_name(name)]] == expected, name


def test_every_kernel_says_how_many_threads_it_wants():
    for name, kernel in KERNELS.items():
        axes = codegen.extents(kernel.cuda_code())
        assert "blockIdx.x" in axes or "threadIdx.x" in axes, name
        assert set(axes) <= set(codegen.AXES), name


def test_nvcc_compiles_every_kernel(sources, counts):
    if not compiler.find_nvcc():
        pytest.skip("there is no nvcc on this machine")
    with ThreadPoolExecutor(2) as pool:
        cubins = list(pool.map(lambda source: compiler._compile_with_nvcc(source, "sm_90"), sources))
    counts["kernels"] = number_of_kernels(sources, cubins)
    assert counts["kernels"] == len(KERNELS)


def number_of_kernels(sources, cubins):
    """The number of kernels in the sources, all of which must be in the cubins."""
    found = 0
    for source, cubin in zip(sources, cubins, strict=True):
        assert cubin[:4] == b"\x7fELF"
        for name in set(re.findall(r"__global__ void .*?(kernel_\w+)\(", source)):
            assert name.encode() in cubin
            found += 1
    return found


def test_nvrtc_compiles_every_kernel_without_header_files(sources, counts):
    if not compiler.find_nvrtc():
        pytest.skip("the extra dynet-kernels[cuda] is not installed")
    cubins = [compiler._compile_with_nvrtc(source, "sm_90") for source in sources]
    counts["kernels"] = number_of_kernels(sources, cubins)
    assert counts["kernels"] == len(KERNELS)


@pytest.mark.parametrize("name", ["nvcc", "nvrtc"])
@pytest.mark.parametrize("factors", cuda_tiles.FORMATS)
def test_products_for_tensor_cores_compile(factors, name, tmp_path):
    if not (compiler.find_nvcc() if name == "nvcc" else compiler.find_nvrtc()):
        pytest.skip(f"there is no {name} on this machine")
    for kernel in ("product", "product.dx", "product.dW"):
        shard = {0: (kernel, KERNELS[kernel])}
        Source(shard, "sm_90", name, factors=factors).build(tmp_path / "source.cu")
        source = (tmp_path / "source.cu").read_text()
        multiply, _ = cuda_tiles.FORMATS[factors]
        assert f"{multiply}(" in source[source.index(f"{function_name(kernel)}(") :]
        assert getattr(compiler, f"_compile_with_{name}")(source, "sm_90")[:4] == b"\x7fELF"


@pytest.mark.parametrize("name", ["nvcc", "nvrtc"])
def test_what_does_not_compile_is_an_error(name):
    if not (compiler.find_nvcc() if name == "nvcc" else compiler.find_nvrtc()):
        pytest.skip(f"there is no {name} on this machine")
    with pytest.raises(CudaError, match=f"(?s){name} could not compile the kernels:.*nonsense"):
        getattr(compiler, f"_compile_with_{name}")("nonsense;", "sm_90")
