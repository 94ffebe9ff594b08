"""Signal handlers that renew or revert the graph at every line of a Python function that records.

`python tests/stress/renewed.py renew_cg tanh 1` records a node of a new shape, and has a handler call `renew_cg` at
the n-th line of the library, for each n; with 10, for every tenth line. The expression being recorded, and those that
the handler records in the new graph, must have the right value or raise one of the library's own exceptions. Each trial
has its own process; those that die are counted.
"""

import itertools
import os
import sys

import numpy as np

import dynet as dy

MODEL = dy.ParameterCollection()
TABLE = MODEL.lookup_parameters_from_numpy(np.arange(10.0).reshape(5, 2))
LSTM = dy.VanillaLSTMBuilder(1, 2, 2, MODEL)
# How many nodes come before the operand, so that its number is far beyond the end of the next graph. In a pass, the
# Python recorder runs some lines for each of them, and each line is a trial.
NODES = 50 if os.environ.get("DYNET_RECORDER") == "python" else 20_000
PACKAGES = "dynet_core", "dynet_ops", "dynet_rnn"
LIBRARY = tuple(os.path.dirname(sys.modules[name].__file__) + os.sep for name in PACKAGES)


recorded_by_handlers: list = []


def begin_anew() -> None:
    dy.renew_cg()
    recorded_by_handlers.append(dy.inputVector([1.0, 2.0]) * 2.0)


def begin_anew_and_compute() -> None:
    begin_anew()
    recorded_by_handlers[-1].value()


def take_back() -> None:
    dy.cg_revert()


def computed(y):
    y.npvalue()
    return y


def differentiated(y):
    dy.sum_elems(y).backward()
    return y


def taken_back(x):
    y = computed(dy.tanh(x))
    dy.cg_checkpoint()
    computed(dy.tanh(y))
    dy.cg_revert()
    return y


HANDLERS = {"renew_cg": begin_anew, "compute": begin_anew_and_compute, "cg_revert": take_back}
PROGRAMS = {
    "tanh": dy.tanh,
    "add": lambda x: x + x,
    "number": lambda x: x * 2.5,
    "esum": lambda x: dy.esum([x, x, x]),
    "concatenate": lambda x: dy.concatenate([x, x]),
    "average": lambda x: dy.average([x, x]),
    "pick": lambda x: dy.pick(x, 1),
    "pickneglogsoftmax": lambda x: dy.pickneglogsoftmax(x, 1),
    "slice": lambda x: x[1:3],
    "reshape": lambda x: dy.reshape(x, (1, len(x))),
    "softmax": dy.softmax,
    "inputVector": lambda x: dy.inputVector(np.arange(len(x) + 1.0)),
    "lookup": lambda x: dy.lookup(TABLE, 3, update=False),
    "lookup_batch": lambda x: dy.lookup_batch(TABLE, [1, 2]),
    "add_input": lambda x: LSTM.initial_state().add_input(TABLE[1]).output(),
    "value": lambda x: computed(dy.tanh(x)),
    "backward": lambda x: differentiated(dy.tanh(x)),
    "revert": taken_back,
    "transduce": lambda x: LSTM.initial_state().transduce([TABLE[1], TABLE[2]])[-1],
}


class Handler:
    """Called at the n-th line of the library."""

    def __init__(self, handle, line: int):
        self.handle, self.left = handle, line

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                self.handle()
        return self


def attempt(name: str, program, line: int) -> bool:
    """Run one trial; return whether the program had that many lines."""
    dy.renew_cg()
    dy.cg_checkpoint()
    for _ in range(NODES):
        x = dy.inputVector([1.0])
    values = np.linspace(-1, 1, 17 + line)  # of a new shape
    x = dy.inputVector(values)
    handler = Handler(HANDLERS[name], line)
    sys.settrace(handler)
    try:
        got = program(x)
    except dy.DynetError:
        got = None
    finally:
        sys.settrace(None)
    value = value_of(got)
    for y in recorded_by_handlers:
        value_of(dy.inputVector([3.0]) * 3.0)  # another node of this graph is computed before y is read
        assert value_of(y) is None or np.allclose(value_of(y), [2.0, 4.0]), value_of(y)
    dy.renew_cg()
    wanted = program(dy.inputVector(values)).npvalue()
    assert value is None or np.allclose(value, wanted), (value, wanted)
    return handler.left <= 0


def value_of(y):
    """Return the value of an expression; None if it is stale, or not an expression."""
    try:
        return None if y is None else y.npvalue()
    except dy.DynetError:
        return None


def main(name: str, which: str, step: str) -> None:
    counts = {"trials": 0, "wrong": 0, "deaths": 0}
    for line in itertools.count(1, int(step)):
        child = os.fork()
        if not child:
            status = 2
            try:
                status = 0 if attempt(name, PROGRAMS[which], line) else 3
            except BaseException as error:
                print(f"{name} at line {line} of {which}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 3:
            break
        counts["trials"] += 1
        counts["wrong"] += status == 2
        counts["deaths"] += status not in (0, 2)
        if status not in (0, 2):
            print(f"{name} at line {line} of {which}: died with status {status}", file=sys.stderr)
    print(*(f"{key}={count}" for key, count in counts.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
