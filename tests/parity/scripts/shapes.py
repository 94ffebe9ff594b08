"""Dimensions and values of every call in shape_calls.py.

Some of the calls kill the process of DyNet 2.1, so they run in child processes.
"""

import json
import os

from report import report
from shape_calls import CALLS

import dynet as dy


def operand(shape, place):
    """Values in (0, 1), up to 101 of them distinct."""
    numbers = [(37 * (k + 11 * place) % 101 + 1) / 110 for k in range(shape.size)]
    return dy.reshape(dy.inputVector(numbers), shape.dims, shape.batch)


def result_of(call):
    dy.renew_cg()
    try:
        result = call.build(dy, *[operand(shape, place) for place, shape in enumerate(call.operands)])
        value = result.vec_value()
        dims, batch = result.dim()
    except Exception as error:  # an error is also a result
        return {"error": f"{type(error).__name__}: {error}"[:120]}
    found = {"dims": list(dims), "batch": batch}
    return found if call.drawn else {**found, "value": [float(f"{number:.6g}") for number in value]}


def in_a_child(calls):
    """The results of calls by name, up to the first call that kills its process."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(write, "w", buffering=1) as out:
            for name, call in calls.items():
                print(json.dumps([name, result_of(call)]), file=out)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as lines:
        found = dict(json.loads(line) for line in lines)
    os.waitpid(child, 0)
    return found


def results_of(calls):
    found = {}
    while waiting := {name: call for name, call in calls.items() if name not in found}:
        done = in_a_child(waiting)
        found.update(done)
        if len(done) < len(waiting):
            ended = next(name for name in waiting if name not in done)
            found[ended] = {"error": "the process ended"}
    return found


def functions():
    """The names of dynet's functions."""
    public = {name: getattr(dy, name) for name in dir(dy) if not name.startswith("_")}
    return [name for name, value in public.items() if callable(value) and not isinstance(value, type)]


def main():
    report({"functions": functions(), **{op: results_of(calls) for op, calls in CALLS.items()}})


if __name__ == "__main__":
    main()
