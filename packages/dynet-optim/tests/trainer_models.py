"""Models for trainer tests, with gradients that tests set by hand."""

import numpy as np
import pytest

from dynet_core import ParameterCollection

without_gradients = pytest.mark.filterwarnings(
    "ignore:.*since the last update, backward.. has reached no:RuntimeWarning"
)
"""For tests of what updates do where there are no gradients, which they warn of."""

SHAPES = [(1,), (7,), (3, 5), (16, 2), (33,), (10, 10), (129, 3)]
TABLES = [(9, 5), (4, 16), (20, 33)]


class Model:
    """A collection with parameters and tables of various shapes, and random gradients for them."""

    def __init__(self, shapes=SHAPES, tables=TABLES, seed=1):
        self.random = np.random.default_rng(seed)
        self.collection = ParameterCollection()
        self.parameters = [self.collection.add_parameters(shape, init=self.normal(shape)) for shape in shapes]
        self.tables = [self.collection.lookup_parameters_from_numpy(self.normal(shape)) for shape in tables]

    def normal(self, shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def values(self):
        return [parameter.as_array() for parameter in [*self.parameters, *self.tables]]

    def gradients(self):
        return [parameter.grad_as_array() for parameter in [*self.parameters, *self.tables]]

    def draw_gradients(self, size=1.0):
        """Give all parameters and some rows of each table random gradients; return the arguments for a Reference."""
        for parameter in self.parameters:
            set_gradient(parameter, size * self.normal(parameter.shape()))
        touched = []
        for table in self.tables:
            rows = self.random.choice(table.rows, 3, replace=False).tolist()
            touched.append(rows)
            for row in rows:
                set_row_gradient(table, row, size * self.normal(table.shape()[1:]))
        return self.gradients(), touched


def set_gradient(parameter, gradient):
    parameter._storage.gradient.array[:] = np.asarray(gradient, np.float32).ravel(order="F")


def set_row_gradient(table, row, gradient):
    """Set the gradient of a row, and note it as the planner does."""
    storage = table._storage
    size = storage.values.floats // table.rows
    storage.gradient.array[row * size : (row + 1) * size] = np.asarray(gradient, np.float32).ravel(order="F")
    marks = storage.touched_list[1 + table.rows : 1 + 2 * table.rows]
    if not marks[row]:
        marks[row] = 1
        storage.touched_list[1 + storage.touched_list[0]] = row
        storage.touched_list[0] += 1
