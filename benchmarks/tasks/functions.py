"""Tasks with `dy.function` for their cells, or with all trees or graphs of a minibatch in one call.

DyNet 2.1 has neither: it runs the cells as they are, and lacks the other rows.
"""

import importlib

ROWS = [
    ("xor, function", (1, 64), {"task": "xor"}),
    ("treelstm 128, functions", (1, 10, 64), {"task": "treelstm", "size": 128}),
    ("treelstm 128, transduce", (1, 10, 64), {"task": "treelstm_nary_builder", "size": 128}),
    ("treelstm 256, transduce", (1, 10, 64), {"task": "treelstm_nary_builder", "size": 256}),
    ("graphnet, functions", (1, 10, 64), {"task": "graphnet"}),
    ("graphnet, pass_messages", (10, 64), {"task": "graphnet", "joined": True}),
]


def make(dy, minibatch, seed, task, **options):
    with_functions = hasattr(dy, "function")
    return importlib.import_module(f"tasks.{task}").make(dy, minibatch, seed, functions=with_functions, **options)
