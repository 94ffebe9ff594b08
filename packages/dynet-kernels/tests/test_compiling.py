"""Compilation of kernels for a CPU: it is fast, the code is small, and results are right for all values."""

import numpy as np
import pytest
import tvm
from tvm import ir
from tvm.tirx.script import builder as T

from dynet_kernels import tir
from dynet_kernels.families import products
from dynet_kernels.machine import modules
from dynet_kernels.target import host_cpu
from dynet_kernels.tir import int64

DIVISORS = (1, 3, 16, 48)
NUMBERS = (0, 1, 2, 3, 15, 16, 17, 47, 48, 49, 2**31, 3 * 2**40 - 1, 3 * 2**40)


def compiled(name, body, *parameters, target=None):
    function = tir.function(name, parameters, body)
    return modules.compile_cpu(ir.IRModule({ir.GlobalVar(name): function}), target or host_cpu().tvm_target())


def test_loops_are_not_unrolled():
    """LLVM unrolls them for CPUs that buffer a long loop's instructions, such as this one's model."""
    if not host_cpu().machine.startswith("x86_64"):
        pytest.skip("names a model of x86-64")

    def body(address, count):
        numbers = tir.buffer_at(address, "float32")
        with T.serial(int64(0), count) as place:
            T.buffer_store(numbers, numbers[place * int64(2)] * tir.float32(3.0), [place * int64(2)])

    target = tvm.target.Target({"kind": "llvm", "mcpu": "sapphirerapids", "cl-opt": ["-vectorize-loops:bool=false"]})
    code = compiled("scale", body, "address", "count", target=target).inspect_source("ll")
    assert code.count("fmul") == 1


@pytest.mark.parametrize("divisor", [*DIVISORS, "count"])
def test_quotients_and_remainders(divisor):
    def body(address, number, count):
        found = tir.buffer_at(address, "int64")
        by = count if divisor == "count" else divisor
        T.buffer_store(found, tir.quotient(number, by), [int64(0)])
        T.buffer_store(found, tir.remainder(number, by), [int64(1)])

    divide = compiled("divide", body, "address", "number", "count")["divide"]
    found = np.zeros(2, np.int64)
    for number in NUMBERS:
        for count in DIVISORS if divisor == "count" else (divisor,):
            divide(found.ctypes.data, number, count)
            assert tuple(found) == divmod(number, count)


def test_vectors_are_loaded_whole():
    """Also under a mask: a vector's index must not become a sum of vectors, as in TVM's FlattenBuffer."""
    lanes = host_cpu().lanes

    def body(address, size):
        numbers = tir.buffer_at(address, "float32")

        def step(offset, mask):
            tir.store(numbers, offset, tir.load(numbers, offset + int64(7), lanes, mask), mask)

        tir.vector_loop(size, lanes, step)

    code = compiled("move", body, "address", "size").inspect_source("ll")
    assert f"load <{lanes} x float>" in code
    assert f"call <{lanes} x float> @llvm.masked.load" in code
    assert "gather" not in code


FIELDS = ("a", "b", "condition", "true_value", "false_value", "value", "indices", "args")


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("kernel", [products.Product(), products.ColumnGradient(), products.MatrixGradient()])
def test_places_in_matrices_do_not_grow_to_long_expressions(kernel, lanes, monkeypatch):
    """TVM inlines what `let` binds at each use, and then takes long to simplify the result."""
    bind, sizes = tir.T.bind, {}

    def size(node):
        if isinstance(node, tvm.tirx.Var):
            return sizes.get(node, 1)
        found = [getattr(node, field, ()) for field in FIELDS]
        return 1 + sum(size(each) for field in found for each in (field if hasattr(field, "__len__") else [field]))

    def recorded(value):
        bound = bind(value)
        sizes[bound] = size(value)
        return bound

    monkeypatch.setattr(tir.T, "bind", recorded)
    kernel.cpu_code(lanes)
    assert max(sizes.values()) < 700
