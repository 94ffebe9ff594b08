"""Writes or reads a model: saving.py write|read FILE SEED."""

import sys

from report import report, values

import dynet as dy


def main():
    action, file, seed = sys.argv[1:4]
    dy.reset_random_seed(int(seed))
    model = dy.ParameterCollection()
    table = model.add_lookup_parameters((5, 3))
    dy.VanillaLSTMBuilder(2, 3, 2, model)
    model.add_parameters((4, 3))
    model.add_parameters(4)
    if action == "write":
        model.save(file)
    else:
        model.populate(file)
    report({"values": values([*model.parameters_list(), table])})


if __name__ == "__main__":
    main()
