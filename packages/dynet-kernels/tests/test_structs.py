"""Structures in memory: attributes emit loads and stores, using the names that `layout` lists."""

import numpy as np
import pytest
from tvm import ir

from dynet_kernels import layout as at
from dynet_kernels import tir
from dynet_kernels.machine import modules
from dynet_kernels.plain import Rows, Struct, Words, plain
from dynet_kernels.target import host_cpu


class Point(Struct):
    layout = at.Structure("x", "y", "sum")


def compiled(body):
    function = tir.function_of("run", body)
    return modules.compile_cpu(ir.IRModule({ir.GlobalVar("run"): function}), host_cpu().tvm_target())["run"]


def run(body, integers, *arguments):
    """The integers after the emitted code has run on them."""
    found = np.array(integers, np.int64)
    compiled(body)(found.ctypes.data, *arguments)
    return found.tolist()


def test_fields_are_read_and_set():
    @plain
    def body(address, count):
        points = Rows(Point, Words(address))
        for number in range(count):
            point = points[number]
            point.sum = point.x + point.y
            point.x += 1

    assert run(body, [1, 2, 0, 3, 4, 0], 2) == [2, 2, 3, 4, 4, 7]


def test_what_was_read_stays_as_it_was():
    def body(address):
        point = Point(Words(address))
        before = point.x
        point.fill(x=7, y=before)

    assert run(body, [1, 2, 0]) == [7, 1, 0]


def test_names_that_a_structure_does_not_have():
    def body(address):
        return Point(Words(address)).z

    with pytest.raises(AttributeError, match="Point has no integer 'z'; it has x, y, sum"):
        compiled(body)


def test_two_integers_of_one_name():
    with pytest.raises(ValueError, match="two integers have the same name"):
        at.Structure("x", "x")


def test_each_integer_must_be_given():
    with pytest.raises(ValueError, match="wanted x, y; got x"):
        at.Structure("x", "y").filled(x=1)
