"""Errors that the emulated GPU detects, in kernels with deliberate mistakes."""

import ctypes

import emulation
import numpy as np
import pytest

from dynet_kernels.cuda import driver

SIZE = 64
KERNEL = """
extern "C" __global__ void __launch_bounds__(%d) kernel_planted(float* memory, int64_t* index, int64_t size) {
  int thread = (int)threadIdx.x;
  %s
}
"""
TURN = """
  __shared__ alignas(64) float _ptr[64];
  _ptr[thread] = memory[thread];
  %s
  float other = _ptr[(thread + 1) & 63];
  %s
  memory[thread] = other;
"""


def run(body, blocks=1, order="forward"):
    """The output of a kernel with this body for inputs 0, 1, 2, ..."""
    library, gpu = emulation.install(), driver.Gpu(0)
    module = gpu.load(emulation.compile(KERNEL % (SIZE, body), "sm_90"))
    values = np.arange(SIZE, dtype=np.float32)
    memory = gpu.allocate(values.nbytes)
    gpu.upload(memory, values)
    arguments = (ctypes.c_int64 * 3)(memory, 0, SIZE)
    pointers = (ctypes.c_void_p * 3)(*range(ctypes.addressof(arguments), ctypes.addressof(arguments) + 24, 8))
    launch = library.cuLaunchKernel
    launch.argtypes = [ctypes.c_void_p, *[ctypes.c_uint] * 7, *[ctypes.c_void_p] * 3]
    with emulation.order(order):
        status = launch(module.handle_of("kernel_planted"), blocks, 1, 1, SIZE, 1, 1, 0, None, pointers, None)
    gpu.download(memory, values)
    gpu.free(memory)
    if status:
        raise driver.CudaError(driver.explain(status))
    return values.tolist()


pytestmark = pytest.mark.usefixtures("emulated")
both_orders = pytest.mark.parametrize("order", ["forward", "backward"])


@both_orders
def test_threads_meet_at_barriers(order):
    body = TURN % ("__syncthreads();", "")
    assert run(body, order=order) == [*range(1, SIZE), 0]


@both_orders
def test_a_missing_barrier_is_a_race(order):
    with pytest.raises(driver.CudaError, match="kernel_planted: thread .* (reads|writes) .* which comes first"):
        run(TURN % ("", ""), order=order)


@both_orders
def test_a_lost_update_is_a_race(order):
    with pytest.raises(driver.CudaError, match="which comes first"):
        run("memory[0] = memory[0] + 1.0f;", order=order)


@both_orders
def test_blocks_race_too(order):
    with pytest.raises(driver.CudaError, match="of block .* which comes first"):
        run("memory[thread] = (float)blockIdx.x;", blocks=2, order=order)


def test_a_read_of_what_another_thread_adds_to_is_a_race():
    with pytest.raises(driver.CudaError, match="which comes first"):
        run("float seen = memory[0]; atomicAdd(&memory[0], 1.0f); memory[thread] = seen;")


@both_orders
def test_atomic_sums_are_no_race(order):
    assert run("if (thread > 0) atomicAdd(&memory[0], 1.0f);", order=order)[0] == SIZE - 1


def test_many_may_write_the_same_value():
    assert run("memory[0] = 5.0f;")[0] == 5


@both_orders
def test_what_comes_after_a_barrier_is_no_race(order):
    body = "float seen = memory[0]; __syncthreads(); if (thread == 7) memory[0] = seen + 1.0f;"
    assert run(body, order=order)[0] == 1


@pytest.mark.parametrize("place", ["thread + 1", "thread - 1", "size", "(int64_t)1 << 30", "-(int64_t)1 << 40"])
def test_an_index_outside_of_memory_is_found(place):
    with pytest.raises(driver.CudaError, match=r"reads 4 bytes at .*(outside of all|no memory of the GPU)"):
        run(f"float seen = memory[{place}]; __syncthreads(); memory[thread] = seen;")


def test_a_write_outside_of_memory_is_found_and_not_done():
    with pytest.raises(driver.CudaError, match="writes 4 bytes at .* outside of all that is allocated"):
        run("if (thread == 3) memory[size] = 1.0f;")


def test_an_index_outside_of_shared_memory_is_found():
    body = "__shared__ alignas(64) float _ptr[64]; _ptr[thread] = 0.0f; _ptr[thread + 1] = 1.0f;"
    with pytest.raises(driver.CudaError, match="uses index 64 of a shared array of 64"):
        run(body, order="backward")


def test_shared_memory_has_no_values_at_first():
    body = "__shared__ alignas(64) float _ptr[64]; memory[thread] = _ptr[thread];"
    assert np.isnan(run(body)).all()


def test_a_barrier_that_some_threads_never_reach_is_found():
    with pytest.raises(driver.CudaError, match="32 of the 64 threads of block .* wait for the others"):
        run("if (thread < 32) __syncthreads();")


@both_orders
def test_threads_of_a_warp_exchange_numbers(order):
    body = "float x = memory[thread]; for (int k = 16; k; k /= 2) x += __shfl_xor_sync(~0u, x, k); memory[thread] = x;"
    assert run(body, order=order) == [sum(range(32))] * 32 + [sum(range(32, 64))] * 32


@both_orders
def test_an_exchange_is_no_barrier(order):
    body = "memory[thread] = 1.0f; __shfl_xor_sync(~0u, 0, 1); float seen = memory[thread ^ 1]; memory[thread] = seen;"
    with pytest.raises(driver.CudaError, match="which comes first"):
        run(body, order=order)


@pytest.mark.parametrize("instead", ["", "__syncthreads();"])
def test_an_exchange_that_some_threads_never_reach_is_found(instead):
    with pytest.raises(driver.CudaError, match="16 of the 32 threads of a warp of block .* wait for the others"):
        run(f"if ((thread & 31) < 16) __shfl_xor_sync(~0u, thread, 1); else {{{instead}}}")
    assert run("memory[thread] = memory[thread] + 1.0f;") == list(range(1, SIZE + 1))


def test_a_good_kernel_runs_after_a_bad_one():
    with pytest.raises(driver.CudaError):
        run("if (thread == 63) memory[size] = 1.0f; __syncthreads();")
    assert run("memory[thread] = memory[thread] + 1.0f;") == list(range(1, SIZE + 1))


def test_copies_stay_within_what_is_allocated():
    emulation.install()
    gpu = driver.Gpu(0)
    address = gpu.allocate(40)
    with pytest.raises(driver.CudaError, match="cuMemcpyHtoD"):
        gpu.upload(address, np.zeros(11, np.float32))
    gpu.free(address)
    with pytest.raises(driver.CudaError, match="cuMemcpyDtoH"):
        gpu.download(address, np.zeros(10, np.float32))


def test_launches_that_a_gpu_refuses_are_refused():
    with pytest.raises(driver.CudaError, match="CUDA_ERROR"):
        run("", blocks=0)
