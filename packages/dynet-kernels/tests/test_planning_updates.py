"""The planner of trainers: a dense parameter is one column; a lookup table has one column per touched row."""

import numpy as np
import pytest
from planning import Planned, Table

from dynet_kernels import layout as at
from dynet_kernels.machine import library
from dynet_kernels.table import KERNELS

ROWS, WIDTH, STATES, NUMBERS = 5, 3, 1, 2
OPCODE = 7


@pytest.fixture(scope="module")
def planner():
    return library.Library(KERNELS)


class Trained(Planned):
    """A dense parameter, a lookup table with touched rows 4 and 1, and a parameter that is not trained."""

    def __init__(self, planner):
        super().__init__(Table(), planner)
        for row, size in enumerate((4, ROWS * WIDTH, 4)):
            self.parameter(row, np.zeros(size, np.float32), needs_gradient=row < 2)
        self.touched = np.array([2, 4, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0], np.int64)
        table = self.parameters[1]
        table[[at.PARAMETER.touched, at.PARAMETER.width, at.PARAMETER.rows]] = self.touched.ctypes.data, WIDTH, ROWS
        self.updates = np.zeros((3, len(at.UPDATE) + STATES), np.int64)
        for row, floats in enumerate((4, ROWS * WIDTH, 4)):
            self.updates[row, : len(at.UPDATE)] = at.UPDATE.filled(parameter=row, chosen=1, floats=floats, column=0)
            self.updates[row, len(at.UPDATE)] = 1000 * (row + 1)
        self["table"] = self.updates.ctypes.data
        self["index"], self["tape"] = (self.buffers[f"forward_{name}"].ctypes.data for name in ("index", "tape"))
        self["index_end"] = 1 << 12

    def update(self, dense=0):
        self.planner.plan_update(self.slots.ctypes.data, OPCODE, 3, STATES, NUMBERS, 77, dense)
        return self.tape(views=2 + STATES + NUMBERS)

    def norm(self, dense=0):
        self.planner.plan_gradient_norm(self.slots.ctypes.data, OPCODE, 0, 3, STATES, dense, 55)
        return self.tape(views=1)

    def starts(self, row, field, numbers):
        return [int(self.parameters[row, at.PARAMETER[field]]) + WIDTH * number for number in numbers]


def test_dense_parameters_and_touched_rows(planner):
    trained = Trained(planner)
    dense, sparse = trained.update()
    assert dense.opcode == sparse.opcode == OPCODE
    assert dense.lists[::2] == [trained.starts(0, "value", [0]), trained.starts(0, "gradient", [0]), [1000], [77], [78]]
    rows = [4, 1]
    states = [2000 + WIDTH * row for row in rows]
    expected = [trained.starts(1, "value", rows), trained.starts(1, "gradient", rows), states, [77] * 2, [78] * 2]
    assert sparse.lists[::2] == expected
    assert trained.updates[:2, at.UPDATE.column].tolist() == [4, WIDTH]


def test_touched_rows_are_forgotten(planner):
    trained = Trained(planner)
    trained.update()
    assert trained.touched[0] == 0 and not trained.touched[1 + ROWS :].any()
    assert len(trained.update()) == 1


@pytest.mark.parametrize("how", ["dense", "flag"])
def test_whole_tables(planner, how):
    trained = Trained(planner)
    trained.touched[-1] = how == "flag"
    _, whole = trained.update(dense=int(how == "dense"))
    assert whole.count == 1 and whole.lists[0] == trained.starts(1, "value", [0])
    assert trained.updates[1, at.UPDATE.column] == ROWS * WIDTH
    assert not trained.touched[0] and not trained.touched[-1]


def test_what_is_not_chosen_stays_as_it_is(planner):
    trained = Trained(planner)
    trained.updates[1, at.UPDATE.chosen] = 0
    assert len(trained.update()) == 1
    assert trained.touched[0] == 2


def test_norms_add_to_one_number(planner):
    trained = Trained(planner)
    dense, sparse = trained.norm()
    assert (dense.count, sparse.count) == (1, 2)
    assert sparse.lists[0] == trained.starts(1, "gradient", [4, 1])
    assert dense.lists[1] == [55] and sparse.lists[1][0] == 55
    assert trained.touched[0] == 2


def test_too_little_room(planner):
    trained = Trained(planner)
    needed = 4 * 2 * (2 + STATES + NUMBERS)  # one column for each dense parameter, two for the table
    trained["index_end"] = needed - 1
    assert trained.update() == [] and trained["status"] == at.TOO_SMALL
    assert trained["needed_index"] == needed and trained.touched[0] == 2
    trained["index_end"] = needed
    assert len(trained.update()) == 2
