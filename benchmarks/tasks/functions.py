"""Tasks with `dy.function` for their cells, or with all trees of a minibatch in one call; DyNet 2.1 has neither."""

import importlib

ROWS = [
    ("xor, function", (1, 64), {"task": "xor"}),
    ("treelstm 128, functions", (1, 10, 64), {"task": "treelstm", "size": 128}),
    ("treelstm 128, transduce", (1, 10, 64), {"task": "treelstm_nary_builder", "size": 128}),
    ("treelstm 256, transduce", (1, 10, 64), {"task": "treelstm_nary_builder", "size": 256}),
    ("graphnet, functions", (1, 10, 64), {"task": "graphnet"}),
]


def make(dy, minibatch, seed, task, **options):
    if not hasattr(dy, "function"):
        return None
    return importlib.import_module(f"tasks.{task}").make(dy, minibatch, seed, functions=True, **options)
