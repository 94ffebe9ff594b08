"""Types and shapes returned by dim, value, npvalue, as_array, gradient and other readers."""

import numpy as np
from report import report
from shape_calls import ONE

import dynet as dy


def described(thing):
    """The type, shape and contents of a value."""
    if isinstance(thing, np.ndarray):
        return {"kind": str(thing.dtype), "shape": list(thing.shape), "numbers": thing.astype(float).tolist()}
    if isinstance(thing, tuple):
        return {"kind": "tuple", "items": [described(item) for item in thing]}
    if isinstance(thing, list):
        return {"kind": "list", "items": [described(item) for item in thing]}
    return {"kind": type(thing).__name__, "number": thing}


def expressions():
    yield "scalarInput", dy.scalarInput(2.5)
    yield "inputVector of one", dy.inputVector([1.5])
    yield "inputVector", dy.inputVector([1, 2, 3])
    yield "inputTensor of a list", dy.inputTensor([[1, 2, 3], [4, 5, 6]])
    yield "inputTensor, row", dy.inputTensor(np.arange(3.0).reshape(1, 3))
    yield "inputTensor, column", dy.inputTensor(np.arange(3.0).reshape(3, 1))
    yield "inputTensor, one by one", dy.inputTensor(np.ones((1, 1)))
    yield "inputTensor, cube", dy.inputTensor(np.arange(24.0).reshape(2, 3, 4))
    yield "inputTensor, batch of numbers", dy.inputTensor(np.arange(3.0), batched=True)
    yield "inputTensor, batch of one-vectors", dy.inputTensor(np.arange(3.0).reshape(1, 3), batched=True)
    yield "inputTensor, batch of vectors", dy.inputTensor(np.arange(6.0).reshape(3, 2), batched=True)
    yield "inputTensor, batch of matrices", dy.inputTensor(np.arange(12.0).reshape(2, 3, 2), batched=True)
    yield "inputTensor, list of arrays", dy.inputTensor([np.ones(3), np.zeros(3)], batched=True)
    for shape in ONE:
        yield f"{shape}", dy.reshape(dy.inputVector(range(shape.size)), shape.dims, shape.batch)


def read_by_tensor(expression):
    tensor = expression.tensor_value()
    parts = (tensor, tensor.argmax(), tensor.argmax(dim=len(expression.dim()[0]) - 1), *tensor.topk())
    return [part.as_numpy() for part in parts]


def read_rows(table):
    readers = ("row_as_array", "row_grad_as_array"), ("rows_as_array", "rows_grad_as_array")
    rows = [getattr(table, reader)(1) for reader in readers[0]]
    return described([*rows, *[getattr(table, reader)([1, 0]) for reader in readers[1]]])


def main():
    results = {}
    dy.renew_cg()
    for name, expression in expressions():
        dims, batch = expression.dim()
        readers = ["dim", "value", "npvalue", "vec_value"]
        if batch * np.prod(dims) == 1:
            readers.append("scalar_value")  # for anything larger, DyNet 2.1 aborts the process
        results[name] = {reader: described(getattr(expression, reader)()) for reader in readers}
        results[f"tensor of {name}"] = described(read_by_tensor(expression))
    xs = [expression for name, expression in expressions()]
    results["values"], results["npvalues"] = described(dy.values(xs)), described(dy.npvalues(xs))

    for shape in ONE:
        dy.renew_cg()
        x = dy.reshape(dy.inputVector(range(shape.size)), shape.dims, shape.batch) * 2.0
        loss = dy.sum_batches(dy.squared_norm(x))
        loss.forward()
        loss.backward(full=True)
        results[f"gradient of {shape}"] = described(x.gradient())
        if shape.batch == 1:
            model = dy.ParameterCollection()
            parameter = model.add_parameters(shape.dims, init=dy.ConstInitializer(0.5))
            table = model.add_lookup_parameters((2, *shape.dims), init=dy.ConstInitializer(0.5))
            dy.squared_norm(parameter + table[1]).backward()
            for name, one in (("parameter", parameter), ("table", table)):
                results[f"{name} of {shape}"] = {
                    reader: described(getattr(one, reader)()) for reader in ("shape", "as_array", "grad_as_array")
                }
            results[f"rows of {shape}"] = read_rows(table)

    model = dy.ParameterCollection()
    matrix = model.parameters_from_numpy(np.arange(6.0).reshape(2, 3))
    vector = model.parameters_from_numpy(np.arange(3.0))
    table = model.lookup_parameters_from_numpy(np.arange(8.0).reshape(4, 2))
    dy.renew_cg()
    x = dy.inputVector([1.0, 2.0])
    loss = dy.squared_norm(matrix * vector + dy.cmult(table[1], x))
    loss.forward()
    loss.backward()
    results["gradient of an input"] = described(x.gradient())
    loss.backward(full=True)
    results["gradient of an input, full"] = described(x.gradient())
    results["gradient of the loss"] = described(loss.gradient())
    for name, parameter in (("matrix", matrix), ("vector", vector), ("table", table)):
        results[name] = {
            reader: described(getattr(parameter, reader)()) for reader in ("shape", "as_array", "grad_as_array")
        }
    report(results)


if __name__ == "__main__":
    main()
