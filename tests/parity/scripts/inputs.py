"""Inputs, lookups and random tensors: shapes, values, gradients, moments."""

import numpy as np
from report import listed, numbers, report

import dynet as dy

COUNT = 40_000


INPUTS = {
    "vecInput": lambda: dy.vecInput(3),
    "zeroes": lambda: dy.zeroes((2, 3)),
    "zeroes, batched": lambda: dy.zeroes((2, 3), batch_size=4),
    "zeros, batched": lambda: dy.zeros((4,), batch_size=2),
    "ones": lambda: dy.ones((2, 3)),
    "ones, batched": lambda: dy.ones((2, 3), batch_size=4),
    "constant": lambda: dy.constant((2, 3), 1.5),
    "constant, batched": lambda: dy.constant((4,), -2.5, batch_size=3),
}
SETTABLE = {
    "vecInput, set": lambda: (dy.vecInput(3), [1.0, 2.5, -3.0]),
    "scalarInput, set": lambda: (dy.scalarInput(0.5), 2.0),
}
LOOKUPS_SET = {
    "lookup, set": (lambda table: dy.lookup(table, 2), 0),
    "lookup without update, set": (lambda table: dy.lookup(table, 2, False), 1),
    "table[i], set": (lambda table: table[0], 4),
    "lookup_batch, set": (lambda table: dy.lookup_batch(table, [3, 0]), [4, 4]),
    "lookup_batch without update, set": (lambda table: dy.lookup_batch(table, [3, 0], False), [1, 2]),
}
PICKS_SET = {
    "pick, set_index": (lambda x: dy.pick(x, 2), 0),
    "pick from columns, set_index": (lambda x: dy.pick(x, 0, 1), 2),
    "pick from a vector, set_index": (lambda x: dy.pick(dy.pick(x, 0, 1), 1), 4),
    "x[i], set_index": (lambda x: x[-1], 1),
    "pick from a batch, set_index": (lambda x: dy.pick(batch_of(x), 1), 3),
    "pick_batch, set_index": (lambda x: dy.pick_batch(batch_of(x), [3, 0]), [4, 4]),
    "pick_batch from columns, set_index": (lambda x: dy.pick_batch(batch_of(x), [0, 2], 1), [1, 2]),
}
LOOKUPS = {
    "lookup": lambda table: dy.lookup(table, 2),
    "lookup by default": lambda table: dy.lookup(table),
    "lookup without update": lambda table: dy.lookup(table, 2, False),
    "table[i]": lambda table: table[3],
    "lookup_batch": lambda table: dy.lookup_batch(table, [3, 0]),
    "lookup_batch repeated": lambda table: dy.lookup_batch(table, [1, 4, 1, 1]),
    "lookup_batch of one": lambda table: dy.lookup_batch(table, [2]),
    "lookup_batch without update": lambda table: dy.lookup_batch(table, [1, 4], False),
}
RANDOM = {
    "normal": lambda: dy.random_normal((COUNT // 4, 2), batch_size=2),
    "normal of another mean": lambda: dy.random_normal((COUNT,), 3.0, 0.5),
    "uniform": lambda: dy.random_uniform((COUNT // 4, 2), -1.0, 3.0, batch_size=2),
    "bernoulli": lambda: dy.random_bernoulli((COUNT,), 0.3, 2.0),
    "gumbel": lambda: dy.random_gumbel((COUNT // 4, 2), batch_size=2),
    "noise": lambda: dy.noise(dy.constant((COUNT,), 1.0), 2.0),
    "dropout": lambda: dy.dropout(dy.constant((COUNT,), 1.0), 0.3),
    "dropout_batch": lambda: dy.dropout_batch(dy.constant((1,), 1.0, batch_size=COUNT), 0.3),
}


def read(expression):
    dims, batch = expression.dim()
    return {"dims": list(dims), "batch": batch, "value": listed(expression)}


def looked_up(lookup, dims):
    """A looked-up value, and the table's gradient."""
    table = dy.ParameterCollection().lookup_parameters_from_numpy(numbers((5, *dims), 3))
    dy.renew_cg()
    x = lookup(table)
    found = read(x)
    shape = (*found["dims"], found["batch"]) if found["batch"] > 1 else tuple(found["dims"])
    weights = dy.inputTensor(numbers(shape, 4), batched=found["batch"] > 1)
    loss = dy.sum_batches(dy.sum_elems(dy.cmult(x, weights) + dy.cmult(x, x)))
    loss.forward()
    loss.backward()
    return {**found, "gradient": np.asarray(table.grad_as_array(), dtype=float).tolist()}


def looked_up_anew(lookup, others):
    """A lookup before and after `set`, the gradients of both, and the table after two updates."""
    model = dy.ParameterCollection()
    table, weights = model.lookup_parameters_from_numpy(numbers((5, 3), 3)), model.parameters_from_numpy(numbers(3, 4))
    trainer = dy.SimpleSGDTrainer(model, 0.1)
    x, found = lookup(table), {}
    loss = dy.sum_batches(dy.squared_norm(dy.cmult(x, weights) + weights))
    for when in ("before", "after"):
        found[when] = [listed(x), loss.value()]
        loss.backward()
        found[f"gradient {when}"] = np.asarray(table.grad_as_array(), dtype=float).ravel().tolist()
        trainer.update()
        found[f"updated {when}"] = np.asarray(table.as_array(), dtype=float).ravel().tolist()
        x.set(others)
    return found


def batch_of(x):
    """A batch of two elements computed from x."""
    return dy.cmult(x, dy.inputTensor(numbers((5, 3, 2), 6), batched=True))


def picked_anew(pick, others):
    """A picked element before and after `set_index`, the gradients of both, and two updates."""
    model = dy.ParameterCollection()
    weights = model.parameters_from_numpy(numbers((5, 3), 7))
    trainer = dy.SimpleSGDTrainer(model, 0.1)
    x, found = pick(weights), {}
    loss = dy.sum_batches(dy.squared_norm(x + 1.0))
    for when in ("before", "after"):
        found[when] = [listed(x), loss.value(recalculate=True)]
        loss.backward()
        found[f"gradient {when}"] = np.asarray(weights.grad_as_array(), dtype=float).ravel().tolist()
        trainer.update()
        found[f"updated {when}"] = np.asarray(weights.as_array(), dtype=float).ravel().tolist()
        x.set_index(others)
    return found


def constant_parameter():
    """A parameter used with and without a gradient."""
    parameter = dy.ParameterCollection().parameters_from_numpy(numbers((2, 3), 5))
    dy.renew_cg()
    x = dy.const_parameter(parameter)
    loss = dy.sum_elems(dy.cmult(x, parameter))
    loss.forward()
    loss.backward()
    return {**read(x), "gradient": np.asarray(parameter.grad_as_array(), dtype=float).tolist()}


def moments(expression):
    """Statistics that are nearly the same for all samples of one distribution."""
    dims, batch = expression.dim()
    x = np.asarray(expression.npvalue(), dtype=float).ravel()
    return {
        "dims": list(dims),
        "batch": batch,
        "mean": float(x.mean()),
        "deviation": float(x.std()),
        "skewness": float(((x - x.mean()) ** 3).mean() / x.std() ** 3),
        "quantiles": np.quantile(x, [0.1, 0.25, 0.5, 0.75, 0.9]).tolist(),
        "zeros": float((x == 0).mean()),
    }


def main():
    results = {}
    for name, build in INPUTS.items():
        dy.renew_cg()
        results[name] = read(build())
    for name, build in SETTABLE.items():
        dy.renew_cg()
        x, values = build()
        y = x * 2.0
        before = listed(y)
        x.set(values)
        results[name] = {"before": before, "after": np.asarray(y.npvalue(recalculate=True), dtype=float).tolist()}
    for name, (lookup, others) in LOOKUPS_SET.items():
        dy.renew_cg()
        results[name] = looked_up_anew(lookup, others)
    for name, (pick, others) in PICKS_SET.items():
        dy.renew_cg()
        results[name] = picked_anew(pick, others)
    for name, lookup in LOOKUPS.items():
        for dims in ((1,), (3,), (2, 3)):
            results[f"{name}, {dims}"] = looked_up(lookup, dims)
    results["const_parameter"] = constant_parameter()
    dy.reset_random_seed(1)
    for name, draw in RANDOM.items():
        dy.renew_cg()
        results[f"random: {name}"] = moments(draw())
    report(results)


if __name__ == "__main__":
    main()
