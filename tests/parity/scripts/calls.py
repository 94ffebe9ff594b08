"""Calls with whole floats, bools, batch slices, empty vectors and devices; calls.py, or calls.py write|read FOLDER."""

import sys

import numpy as np
from report import listed, report, values

import dynet as dy


def vector(n):
    return dy.inputTensor(np.arange(float(n)))


def array(*shape):
    return dy.inputTensor(np.arange(float(np.prod(shape))).reshape(shape))


def batch(*shape):
    return dy.inputTensor(np.arange(float(np.prod(shape))).reshape(shape), batched=True)


def nothing():
    return dy.inputVector([])


def table():
    return dy.ParameterCollection().lookup_parameters_from_numpy(np.arange(12.0).reshape(4, 3))


COMPUTED = {
    "pick(x, 2.0)": lambda: dy.pick(vector(4), 2.0),
    "pick(x, True)": lambda: dy.pick(vector(4), True),
    "pick(x, np.bool_)": lambda: dy.pick(vector(4), np.bool_(True)),
    "pick(x, np.float32)": lambda: dy.pick(vector(4), np.float32(2)),
    "pick(x, array of no dimensions)": lambda: dy.pick(vector(4), np.array(2.0)),
    "pick(x, 1, 1.0)": lambda: dy.pick(array(4, 3), 1, 1.0),
    "pick_range": lambda: dy.pick_range(vector(20), 0, 16.0),
    "pick_batch": lambda: dy.pick_batch(batch(4, 2), np.array([1.0, 2.0])),
    "pick_batch of bools": lambda: dy.pick_batch(batch(4, 2), [True, False]),
    "pick_batch_elem": lambda: dy.pick_batch_elem(batch(4, 2), 1.0),
    "pick_batch_elems": lambda: dy.pick_batch_elems(batch(4, 2), [1.0, 0.0]),
    "x[True]": lambda: vector(4)[True],
    "x[1.0:3.0]": lambda: vector(4)[1.0:3.0],
    "E[3.0]": lambda: table()[3.0],
    "E[True]": lambda: table()[True],
    "lookup": lambda: dy.lookup(table(), 3.0),
    "lookup_batch": lambda: dy.lookup_batch(table(), np.zeros(3)),
    "reshape": lambda: dy.reshape(vector(4), (2.0, 2.0)),
    "transpose": lambda: dy.transpose(array(3, 2), [1.0, 0.0]),
    "concatenate": lambda: dy.concatenate([vector(3), vector(3)], 1.0),
    "concatenate along True": lambda: dy.concatenate([vector(3), vector(3)], True),
    "sum_dim": lambda: dy.sum_dim(array(3, 2), [0.0], False),
    "moment_dim": lambda: dy.moment_dim(vector(8), [0], 1, True, np.float64(8)),
    "max_dim": lambda: dy.max_dim(array(3, 2), 1.0),
    "pickneglogsoftmax_batch": lambda: dy.pickneglogsoftmax_batch(batch(3, 2), [1.0, 2.0]),
    "hinge": lambda: dy.hinge(vector(3), 1.0),
    "hinge with True": lambda: dy.hinge(vector(3), True),
    "conv2d": lambda: dy.conv2d(array(3, 3, 1), array(2, 2, 1, 1), [1.0, 1.0]),
    "kmax_pooling": lambda: dy.kmax_pooling(array(3, 4), 2.0),
    "fold_rows": lambda: dy.fold_rows(array(4, 4), 2.0),
    "select_rows": lambda: dy.select_rows(array(4, 4), np.array([1.0])),
    "vecInput": lambda: dy.vecInput(3.0),
    "zeros": lambda: dy.zeros((3.0,), 2.0),
    "x[:, 1:3]": lambda: batch(4, 6)[:, 1:3],
    "x[1:3, 1:3]": lambda: batch(4, 6)[1:3, 1:3],
    "x[:, ::2]": lambda: batch(4, 6)[:, ::2],
    "x[:, 1:3:2]": lambda: batch(4, 6)[:, 1:3:2],
    "x[:, :, 1:3]": lambda: batch(4, 5, 6)[:, :, 1:3],
    "x[1:2, 1:3, 1:3]": lambda: batch(4, 5, 6)[1:2, 1:3, 1:3],
    "x[:, 0:1] without a batch": lambda: vector(4)[:, 0:1],
    "x[1:3, 0:1] without a batch": lambda: vector(4)[1:3, 0:1],
    "arrays of no dimensions, batched": lambda: dy.inputTensor([np.array(1.0), np.array(2.0)], batched=True),
    "arrays of no dimensions": lambda: dy.inputTensor([np.array(1.0), np.array(2.0)]),
    "numpy numbers": lambda: dy.inputTensor([np.float64(1), np.float64(2)]),
    "numpy numbers, batched": lambda: dy.inputTensor([np.float64(1), np.float64(2)], batched=True),
    "inputTensor on CPU": lambda: dy.inputTensor(np.ones(2), device="CPU"),
    "inputTensor, by place": lambda: dy.inputTensor(np.ones(2), False, "CPU", True),
    "inputVector on CPU": lambda: dy.inputVector([1, 2], "CPU"),
    "scalarInput on CPU": lambda: dy.scalarInput(0, "CPU"),
    "vecInput on CPU": lambda: dy.vecInput(2, "CPU"),
    "one_hot on CPU": lambda: dy.one_hot(3, 1, "CPU"),
    "sparse_inputTensor on CPU": lambda: dy.sparse_inputTensor(([0],), [1.0], (2,), False, 0, "CPU"),
    "nothing": nothing,
    "nothing of numpy": lambda: dy.inputVector(np.zeros(0)),
    "tanh of nothing": lambda: dy.tanh(nothing()),
    "nothing + 1": lambda: nothing() + 1,
    "nothing * 2": lambda: nothing() * 2,
    "nothing + nothing": lambda: nothing() + nothing(),
    "cmult of nothing": lambda: dy.cmult(nothing(), nothing()),
    "esum of nothing": lambda: dy.esum([nothing(), nothing()]),
    "emax of nothing": lambda: dy.emax([nothing(), nothing()]),
    "softmax of nothing": lambda: dy.softmax(nothing()),
    "logsumexp of nothing": lambda: dy.logsumexp([nothing(), nothing()]),
    "sum of nothing": lambda: dy.sum_elems(nothing()),
    "mean of nothing": lambda: dy.mean_elems(nothing()),
    "norm of nothing": lambda: dy.l2_norm(nothing()),
    "largest of nothing": lambda: dy.max_dim(nothing()),
    "sum_dim of nothing": lambda: dy.sum_dim(nothing(), [0], False),
    "product of nothing": lambda: dy.dot_product(nothing(), nothing()),
    "distance of nothing": lambda: dy.squared_distance(nothing(), nothing()),
    "columns of nothing": lambda: dy.concatenate_cols([nothing(), nothing()]),
    "a batch of nothing": lambda: dy.concatenate_to_batch([nothing(), nothing()]),
    "a row of nothing": lambda: dy.transpose(nothing()),
    "dropout of nothing": lambda: dy.dropout(nothing(), 0.5),
    "cumsum of nothing": lambda: dy.cumsum(nothing()),
}
TRUNCATED = {
    "pick(x, 2.7)": lambda: dy.pick(vector(4), 2.7),
    "E[3.7]": lambda: table()[3.7],
    "lookup_batch": lambda: dy.lookup_batch(table(), [1.5, 2.5]),
    "pick_batch": lambda: dy.pick_batch(batch(4, 2), np.array([1.5, 2.0])),
    "add_parameters": lambda: dy.parameter(dy.ParameterCollection().add_parameters((3, 4.7))),
    "conv2d": lambda: dy.conv2d(array(3, 3, 1), array(2, 2, 1, 1), [1.5, 1.0]),
}
OF_SIZE_0 = {
    "zeros(0)": lambda: dy.zeros(0),
    "vecInput(0)": lambda: dy.vecInput(0),
    "random_normal((0,))": lambda: dy.random_normal((0,)),
    "inputTensor": lambda: dy.inputTensor(np.zeros((0, 3))),
    "reshape": lambda: dy.reshape(nothing(), (0, 3)),
    "a product with a parameter": lambda: dy.parameter(dy.ParameterCollection().add_parameters((0, 3))) * vector(3),
    "a row of a table": lambda: dy.ParameterCollection().add_lookup_parameters((14, 0))[3],
}
NO_DEVICE = {
    "scalarInput": lambda: dy.scalarInput(0, "GPU:1"),
    "inputTensor": lambda: dy.inputTensor(np.ones(2), device="cpu"),
    "add_parameters": lambda: dy.ParameterCollection().add_parameters((2, 3), device="GPU:1"),
    "add_lookup_parameters": lambda: dy.ParameterCollection().add_lookup_parameters((2, 3), device="CPU:0"),
    "to_device": lambda: dy.to_device(vector(3), "GPU:0"),
}


def outcome(call):
    """The dimensions, batch size and value of an expression, or the error's base classes."""
    dy.renew_cg()
    try:
        found = call()
        dims, size = found.dim()
        return {"dims": list(dims), "batch": size, "value": listed(found)}
    except Exception as error:
        return {"error": [kind.__name__ for kind in type(error).__mro__]}


def model():
    m = dy.ParameterCollection()
    made = [
        m.add_parameters((14, 0)),
        m.add_lookup_parameters((14, 0)),
        m.add_lookup_parameters((0, 100)),
        m.add_parameters((2, 3)),
        m.add_lookup_parameters((3, 2)),
    ]
    return m, made, dy.VanillaLSTMBuilder(1, 4, 4 / 2, m)


def main():
    if len(sys.argv) == 1:
        tables = {"computed": COMPUTED, "truncated": TRUNCATED, "of size 0": OF_SIZE_0, "no device": NO_DEVICE}
        report({kind: {name: outcome(call) for name, call in calls.items()} for kind, calls in tables.items()})
        return
    action, folder = sys.argv[1:]
    dy.reset_random_seed(1 if action == "write" else 2)
    m, made, builder = model()
    if action == "write":
        m.save(f"{folder}/text")
        dy.save(f"{folder}/objects", [*made, builder])
        found = [*made, builder]
    else:
        m.populate(f"{folder}/text")
        found = dy.load(f"{folder}/objects", dy.ParameterCollection())
    parameters = [*m.parameters_list(), *m.lookup_parameters_list()]
    filled = [p for p in parameters if 0 not in p.shape()]
    report(
        {
            "count": m.parameter_count(),
            "shapes": [list(p.shape()) for p in parameters],
            "values": values(filled),
            "loaded": [list(p.shape()) for p in found[:-1]],
            "spec": list(found[-1].spec[:3]),
        }
    )


if __name__ == "__main__":
    main()
