"""Saving builders with layer normalization, whose parameters are outside of the builder's collection."""

import numpy as np
import pytest

import dynet_rnn as rnn
from dynet_core import ParameterCollection, load, save


def numbered(model):
    for number, parameter in enumerate(model.parameters_list()):
        parameter.set_value(np.full(parameter.shape(), number + 1.0))


def first_numbers(model):
    return [float(parameter.as_array().flat[0]) for parameter in model.parameters_list()]


@pytest.mark.parametrize("builder", [rnn.VanillaLSTMBuilder, rnn.SparseLSTMBuilder])
@pytest.mark.parametrize("layers", [1, 2])
def test_normalizations_come_back(builder, layers, tmp_path):
    model = ParameterCollection()
    objects = [builder(layers, 3, 4, model, True), model.add_parameters(16), rnn.SimpleRNNBuilder(1, 3, 4, model)]
    numbered(model)
    save(tmp_path / "file", objects)
    fresh = ParameterCollection()
    load(tmp_path / "file", fresh)
    assert sorted(first_numbers(fresh)) == sorted(first_numbers(model))


def test_a_file_without_them_leaves_initial_values(tmp_path):
    """DyNet writes such files; parameters that follow are separate objects, whatever their shapes."""
    model = ParameterCollection()
    plain = rnn.VanillaLSTMBuilder(1, 3, 4, model)
    plain._spec = (1, 3, 4, True, 1.0)
    others = [model.add_parameters(size) for size in (16, 16, 16, 16, 4, 4)]
    numbered(model)
    save(tmp_path / "file", [plain, *others])
    fresh = ParameterCollection()
    loaded, *rest = load(tmp_path / "file", fresh)
    norms = [float(parameter.as_array()[0]) for parameter in loaded._outside_parameters]
    assert norms == [1, 0, 1, 0, 1, 0]
    assert [float(parameter.as_array()[0]) for parameter in rest] == [4, 5, 6, 7, 8, 9]
