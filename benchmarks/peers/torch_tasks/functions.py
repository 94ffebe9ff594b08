"""The tasks that `tasks/functions.py` names, as without functions; those that torch lacks are left out."""

import importlib


def make(initial, minibatch, seed, task, **options):
    if task == "treelstm_nary_builder":
        return None
    return importlib.import_module(f"peers.torch_tasks.{task}").make(initial, minibatch, seed, **options)
