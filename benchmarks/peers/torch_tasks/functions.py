"""The tasks that `tasks/functions.py` names, as without functions and without builders."""

import importlib


def make(initial, minibatch, seed, task, **options):
    if task == "treelstm_nary_builder":
        task = "treelstm"  # the same network; torch has no builder for it
    options.pop("joined", None)  # graphs of a minibatch are always joined in torch
    return importlib.import_module(f"peers.torch_tasks.{task}").make(initial, minibatch, seed, **options)
