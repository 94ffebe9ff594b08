"""Results of Tensor's methods: values, indices, shapes."""

import numpy as np
from report import report

import dynet as dy


def listed(tensor):
    array = tensor.as_numpy()
    return {"shape": list(array.shape), "numbers": array.tolist(), "kind": array.dtype.kind}


def main():
    choose = np.random.RandomState(1)
    dy.renew_cg()
    results = {}
    for shape, batched in (((7,), False), ((3, 4), False), ((2, 3, 4), False), ((5, 2), True), ((2, 3, 2), True)):
        array = choose.permutation(int(np.prod(shape))).reshape(shape) / 4.0
        tensor = dy.inputTensor(array, batched=batched).tensor_value()
        mine = results[f"{shape}, batched: {batched}"] = {"value": listed(tensor)}
        for dim in range(len(shape) - batched):
            mine[f"argmax {dim}"] = listed(tensor.argmax(dim=dim))
            for num in range(1, shape[dim] + 1):
                values, indices = tensor.topk(dim=dim, num=num)
                order = np.argsort(values.as_numpy(), dim)  # DyNet's results are not sorted
                mine[f"topk {dim}, {num}"] = [
                    np.take_along_axis(t.as_numpy(), order, dim).tolist() for t in (values, indices)
                ]
    certain = np.log(np.array([[1e-30, 1.0], [1.0, 1e-30]]))
    results["sample"] = listed(dy.inputTensor(certain).tensor_value().categorical_sample_log_prob(dim=0))
    report(results)


if __name__ == "__main__":
    main()
