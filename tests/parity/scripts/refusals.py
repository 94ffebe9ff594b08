"""The error of each call in original_refusals.py, in a separate process per call: many of them kill DyNet 2.1."""

import json
import os
import tempfile

import numpy as np
from original_refusals import REFUSALS
from report import report

import dynet as dy
import dynet_config


def setting(folder):
    """The operands of the calls, in a new graph."""
    dy.renew_cg()
    m, other = dy.ParameterCollection(), dy.ParameterCollection()
    other.add_parameters((2,), name="other")
    other.save(f"{folder}/text")
    return {
        "dy": dy, "np": np, "dynet_config": dynet_config, "folder": folder, "text": f"{folder}/text", "m": m,
        "p": m.add_parameters(3), "E": m.add_lookup_parameters((5, 2)), "lstm": dy.VanillaLSTMBuilder(1, 2, 3, m),
        "x": dy.inputVector([1, 2, 3]), "X": dy.inputTensor([[1, 2], [3, 4], [5, 6]], batched=True),
        "W": dy.inputTensor([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]]),
    }  # fmt: skip


def run(call, names):
    """Make a call, and compute its result."""
    *before, last = call.split("; ")
    exec("; ".join(before), names)
    try:
        code = compile(last, call, "eval")
    except SyntaxError:  # a statement
        exec(last, names)
        return
    found = eval(code, names)
    if hasattr(found, "npvalue"):
        found.npvalue()


def raised(call):
    """The type name of the error; `-` if there is none, if uninitialized memory was read, or after a crash."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        kind = "-"
        try:
            with tempfile.TemporaryDirectory() as folder:
                run(call, setting(folder))
        except MemoryError:
            pass
        except Exception as error:
            kind = type(error).__name__
        os.write(write, json.dumps(kind).encode())
        os._exit(0)
    os.close(write)
    with open(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else "-"


def main():
    report({call: raised(call) for call in REFUSALS})


if __name__ == "__main__":
    main()
