"""Writes or reads a model with frozen parameters: frozen.py write|read FOLDER."""

import sys

from report import report

import dynet as dy


def main():
    action, folder = sys.argv[1:3]
    model, whole = dy.ParameterCollection(), dy.ParameterCollection()
    if action == "write":
        dy.reset_random_seed(1)
        network = dy.VanillaLSTMBuilder(1, 2, 3, model)
        objects = [model.add_parameters((2, 3)), network, model.add_lookup_parameters((4, 3))]
        dy.sum_elems(objects[0] * dy.inputVector([1, 2, 3])).backward()
        for p in [*model.parameters_list(), *model.lookup_parameters_list()][::2]:
            p.set_updated(False)
        dy.save(folder + "/objects", objects)
        model.save(folder + "/whole")
    else:
        dy.load(folder + "/objects", model)
        dy.VanillaLSTMBuilder(1, 2, 3, whole)
        whole.add_parameters((2, 3))
        whole.add_lookup_parameters((4, 3))
        whole.populate(folder + "/whole")
    everything = [*model.parameters_list(), *model.lookup_parameters_list()]
    report({p.name(): [p.as_array().tolist(), p.grad_as_array().tolist()] for p in everything})


if __name__ == "__main__":
    main()
