"""Every kernel's CUDA C, compiled for Hopper by nvcc where there is one."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import dynet  # noqa: F401  # fills the table of kernels
from dynet_kernels.cuda import codegen, compiler
from dynet_kernels.cuda.machine import MOST_PARAMETERS, Source, symbol_of
from dynet_kernels.kernels import KERNELS, SHARD


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The CUDA C of each shard."""
    from dynet_kernels import library

    directory = tmp_path_factory.mktemp("sources")
    shards = [KERNELS.shard(number) for number in range(KERNELS.numbered()[-1][0] // SHARD + 1)]

    def build(number):
        path = directory / f"{number}.cu"
        library.build_in_child(Source(number, shards[number], "sm_90", "nvcc"), path)
        return path.read_text()

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(build, [number for number, shard in enumerate(shards) if shard]))


def test_every_kernel_has_a_device_function_of_its_parameters(sources):
    """The launcher passes arguments by their places: nothing may be left out or exchanged."""
    found = {
        name: [word.split()[-1].strip("*") for word in parameters.split(",")]
        for source in sources
        for name, parameters in re.findall(r"__global__ void .*?(kernel_\w+)\(([^)]*)\) \{", source)
    }
    for name, kernel in KERNELS.items():
        assert len(kernel.parameters) <= MOST_PARAMETERS
        expected = ["memory", "index", "base", "count", *kernel.parameters]
        assert [given.removesuffix("_1") for given in found[symbol_of(name)]] == expected, name


def test_every_kernel_says_how_many_threads_it_wants():
    for name, kernel in KERNELS.items():
        axes = codegen.extents(kernel.cuda())
        assert "blockIdx.x" in axes or "threadIdx.x" in axes, name
        assert set(axes) <= set(codegen.AXES), name


def test_nvcc_compiles_every_kernel(sources, counts):
    if not compiler.find_nvcc():
        pytest.skip("there is no nvcc on this machine")
    with ThreadPoolExecutor(2) as pool:
        cubins = list(pool.map(lambda source: compiler._nvcc(source, "sm_90"), sources))
    for source, cubin in zip(sources, cubins):
        assert cubin[:4] == b"\x7fELF"
        for name in set(re.findall(r"__global__ void .*?(kernel_\w+)\(", source)):
            assert name.encode() in cubin
            counts["kernels"] += 1
    assert counts["kernels"] == len(KERNELS)


def test_what_does_not_compile_is_an_error():
    if not compiler.find_nvcc():
        pytest.skip("there is no nvcc on this machine")
    from dynet_kernels.cuda.driver import CudaError

    with pytest.raises(CudaError, match="(?s)nvcc could not compile the kernels:.*nonsense"):
        compiler._nvcc("nonsense;", "sm_90")
