"""Initial values of parameters and of builders' parameters; DyNet's seed comes from the command line."""

import sys

import numpy as np
from report import report, values

import dynet as dy

INITIALIZERS = {
    "default": lambda: None,
    "glorot": lambda: dy.GlorotInitializer(),
    "glorot, gain": lambda: dy.GlorotInitializer(gain=0.5),
    "glorot, is_lookup": lambda: dy.GlorotInitializer(is_lookup=True),
    "uniform": lambda: dy.UniformInitializer(0.3),
    "normal": lambda: dy.NormalInitializer(),
    "normal, mean and variance": lambda: dy.NormalInitializer(0.5, 4.0),
    "constant": lambda: dy.ConstInitializer(0.25),
}
SHAPES = {"vector": (7,), "matrix": (4, 5), "column": (6, 1), "row": (1, 6), "cube": (2, 3, 4)}
FILTER = (2, 3, 4, 5)
LOOKUPS = {"table": (10, 5), "table of numbers": (6, 1), "table of matrices": (3, 2, 4)}


def initial(add, shape, initializer):
    init = initializer()
    parameter = add(shape) if init is None else add(shape, init=init)
    # Rows are read through the graph: DyNet 2.1's as_array scrambles tables of matrices.
    if add.__name__ == "add_lookup_parameters":
        dy.renew_cg()
        return [dy.lookup(parameter, row).npvalue().tolist() for row in range(shape[0])]
    return np.asarray(parameter.as_array()).tolist()


def main():
    if "reset" in sys.argv:
        dy.reset_random_seed(77)
    parameters = dy.ParameterCollection()
    results = {}
    for name, initializer in INITIALIZERS.items():
        shapes = dict(SHAPES, filter=FILTER) if "glorot" in name or name == "default" else SHAPES
        for kind, shape in shapes.items():
            if name == "glorot, is_lookup" and len(shape) == 1:
                continue  # no dimensions are left to count: NaN in DyNet 2.1, an error here
            results[f"{name}, {kind}"] = initial(parameters.add_parameters, shape, initializer)
        for kind, shape in LOOKUPS.items():
            results[f"{name}, {kind}"] = initial(parameters.add_lookup_parameters, shape, initializer)
    square = parameters.add_parameters((3, 3), init=dy.IdentityInitializer())
    results["identity"] = np.asarray(square.as_array()).tolist()
    given = parameters.add_parameters((2, 3), init=dy.NumpyInitializer(np.arange(6.0).reshape(2, 3)))
    results["given"] = np.asarray(given.as_array()).tolist()
    for name, build in BUILDERS.items():
        collection = dy.ParameterCollection()
        build(collection)
        made = collection.parameters_list()
        results[name] = {
            "names": [parameter.name() for parameter in made],
            "shapes": [list(parameter.shape()) for parameter in made],
            "values": values(made),
        }
    report(results)


BUILDERS = {
    "VanillaLSTMBuilder": lambda collection: dy.VanillaLSTMBuilder(2, 3, 4, collection),
    "BiRNNBuilder": lambda collection: dy.BiRNNBuilder(2, 3, 8, collection, dy.VanillaLSTMBuilder),
}

if __name__ == "__main__":
    main()
