"""Calls of inputs, selection, convolution and contraction that DyNet 2.1 gets wrong or refuses."""

import numpy as np
from report import listed, numbers, report

import dynet as dy


def array(*shape):
    return numbers(shape, 7, -2.0, 2.0)


def tensor(*shape, batched=False):
    return dy.inputTensor(array(*shape), batched=batched)


def gradients_of_rounding(op, repetitions=5):
    """The gradients in both modes; only the mode should matter."""
    found = []
    for mode in ("zero_gradient", "straight_through_gradient"):
        for _ in range(repetitions):
            parameter = dy.ParameterCollection().parameters_from_numpy(array(3))
            dy.renew_cg()
            loss = dy.sum_elems(op(parameter, mode))
            loss.forward()
            loss.backward()
            found.append(np.array(parameter.grad_as_array()))
    return dy.inputTensor(np.array(found))


CALLS = {
    "kmax_pooling": lambda: dy.kmax_pooling(dy.inputTensor([3.0, 1.0, 2.0, 3.0, 5.0]), 2, 0),
    "filter1d_narrow": lambda: dy.filter1d_narrow(tensor(2, 3, 2, batched=True), tensor(2, 2)),
    "conv2d": lambda: dy.conv2d(tensor(3, 3, 1), tensor(2, 2, 1, 1, 2, batched=True), [1, 1]),
    "contract3d_1d": lambda: dy.contract3d_1d(tensor(2, 3, 4), tensor(4)),
    "inverse": lambda: dy.inverse(tensor(2, 2, 3, batched=True)),
    "logdet": lambda: dy.logdet(dy.square(tensor(1, 1, 3, batched=True))),
    "trace_of_product": lambda: dy.trace_of_product(tensor(2, 2, 3, batched=True), tensor(2, 2)),
    "contract3d_1d_1d": lambda: dy.contract3d_1d_1d(tensor(2, 3, 4), tensor(4, 2, batched=True), tensor(3)),
    "to_device": lambda: dy.to_device(tensor(4), "CPU"),
    "matInput": lambda: dy.matInput(2, 3),
    "inputMatrix": lambda: dy.inputMatrix([1, 2, 3, 4, 5, 6], (2, 3)),
    "floor": lambda: gradients_of_rounding(dy.floor),
    "ceil": lambda: gradients_of_rounding(dy.ceil),
    "round": lambda: gradients_of_rounding(dy.round),
    "softsign": lambda: dy.softsign(tensor(2, 3)),
}


def main():
    results = {}
    for name, call in CALLS.items():
        dy.renew_cg()
        (dy.inputTensor(array(64, 64)) * dy.inputTensor(array(64, 64))).value()  # leaves values in DyNet's memory
        dy.renew_cg()
        try:
            result = call()
            results[name] = {"dims": list(result.dim()[0]), "batch": result.dim()[1], "value": listed(result)}
        except Exception as error:
            results[name] = {"error": f"{type(error).__name__}: {error}"}
    report(results)


if __name__ == "__main__":
    main()
