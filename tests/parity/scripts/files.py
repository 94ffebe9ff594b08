"""Files of every kind, written or read: files.py write|read FOLDER SEED coupled|vanilla.

The last argument sets what LSTMBuilder means here; in DyNet 2.1 it is always vanilla.
"""

import inspect
import sys

from report import report

import dynet_config

if "lstm_builder" in inspect.signature(dynet_config.set).parameters:
    dynet_config.set(lstm_builder=sys.argv[4])

import dynet as dy


class Layer:
    """A user-defined object."""

    def __init__(self, model, size):
        self.spec = (size,)
        self.collection = model.add_subcollection("layer")
        self.parameter = self.collection.add_parameters((size, size))

    def param_collection(self):
        return self.collection

    @staticmethod
    def from_spec(spec, model):
        return Layer(model, *spec)


def contents(collection):
    """Names, values and gradients."""
    everything = [*collection.parameters_list(), *collection.lookup_parameters_list()]
    return [[p.name(), p.as_array().tolist(), p.grad_as_array().tolist()] for p in everything]


def objects(model):
    """An object of each kind that dy.save takes."""
    return [
        model.add_parameters((2, 3)),
        model.add_lookup_parameters((4, 3)),
        dy.VanillaLSTMBuilder(2, 2, 3, model),
        dy.CoupledLSTMBuilder(1, 2, 3, model),
        dy.LSTMBuilder(1, 2, 3, model),  # here or there another name of one of the two
        dy.BiRNNBuilder(1, 2, 4, model, dy.LSTMBuilder),
        dy.CompactVanillaLSTMBuilder(1, 2, 3, model),
        dy.SparseLSTMBuilder(2, 2, 3, model),
        dy.GRUBuilder(1, 2, 3, model),
        dy.SimpleRNNBuilder(2, 2, 3, model),
        dy.BiRNNBuilder(1, 2, 4, model, dy.GRUBuilder),
        dy.BiRNNBuilder(1, 2, 4, model, dy.VanillaLSTMBuilder),
        Layer(model, 2),
        model.add_parameters(4, name="last"),
    ]


def nested(model):
    """Named and unnamed parameters in nested collections, some of them with a gradient."""
    x, table = model.add_parameters(3), model.add_lookup_parameters((5, 3), name="words")
    inner = model.add_subcollection("inner")
    y = inner.add_parameters((2, 3))
    inner.add_subcollection("words").add_lookup_parameters((3, 1, 2))
    model.add_subcollection("inner").add_parameters((1, 2, 2), name="words")
    model.add_parameters(2, name="words")
    dy.renew_cg()
    dy.sum_elems(dy.tanh(dy.parameter(y) * (dy.parameter(x) + table[3]))).backward()
    return inner, y, table


def main():
    action, folder, seed = sys.argv[1:4]
    dy.reset_random_seed(int(seed))
    model, whole = dy.ParameterCollection(), dy.ParameterCollection()
    inner, parameter, table = nested(whole)
    if action == "write":
        dy.save(folder + "/objects", objects(model))
        whole.save(folder + "/whole")
        inner.save(folder + "/parts")
        parameter.save(folder + "/parts", "single", append=True)
        table.save(folder + "/parts", "/a/table", append=True)
        single, rows = parameter, table
    else:
        dy.load(folder + "/objects", model)
        whole.populate(folder + "/whole")
        inner.populate(folder + "/parts", "/inner/")
        parameter.populate(folder + "/parts", "single")
        other = dy.ParameterCollection()
        single, rows = (
            other.load_param(folder + "/parts", "single"),
            other.load_lookup_param(folder + "/parts", "/a/table"),
        )
    report(
        {
            "objects": contents(model),
            "whole": contents(whole),
            "single": [single.as_array().tolist(), single.grad_as_array().tolist()],
            "rows": [rows.as_array().tolist(), rows.grad_as_array().tolist()],
        }
    )


if __name__ == "__main__":
    main()
