"""Value, shape and operand gradients of every case in op_cases.py."""

import zlib

from op_cases import CASES
from report import gradients, listed, numbers, report

import dynet as dy


def evaluate(name, case):
    seed = zlib.crc32(name.encode())
    collection = dy.ParameterCollection()
    operands = []
    for place, operand in enumerate(case.operands):
        parameters = []
        for element in range(operand.batch):
            array = numbers(operand.dims, seed + 10 * place + element, case.low, case.high)
            parameters.append(collection.add_parameters(operand.dims, init=dy.NumpyInitializer(array)))
        operands.append((parameters, operand))
    dy.renew_cg()
    expressions = [
        parameters[0] if operand.batch == 1 else dy.concatenate_to_batch(parameters) for parameters, operand in operands
    ]
    result = case.build(dy, *expressions)
    dims, batch = result.dim()
    value = listed(result)
    shape = (*dims, batch) if batch > 1 else dims
    weights = dy.inputTensor(numbers(shape, seed + 999), batched=batch > 1)
    loss = dy.sum_batches(dy.sum_elems(dy.cmult(result, weights)))
    loss.forward()
    loss.backward()
    return {
        "dims": list(dims),
        "batch": batch,
        "value": value,
        "gradients": [gradients(parameters) for parameters, _ in operands],
    }


def main():
    results = {}
    for name, case in CASES.items():
        try:
            results[name] = evaluate(name, case)
        except Exception as error:  # one failing op must not hide the others
            results[name] = {"error": f"{type(error).__name__}: {error}"}
    report(results)


if __name__ == "__main__":
    main()
