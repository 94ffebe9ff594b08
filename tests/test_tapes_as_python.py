"""The planner's functions, run as ordinary Python, write the same tapes for networks as when compiled."""

import ctypes
from typing import Any

import numpy as np
import pytest
from test_repeated_words import NETWORKS, SENTENCES, Example

from dynet_core.graph import current
from dynet_kernels import layout as at
from dynet_kernels.plain import Words
from dynet_kernels.plan.nodes import Node, Plan
from dynet_kernels.plan.repeats import copy_values, skip_equal_columns
from dynet_kernels.plan.tape import add_steps, each_group, start_tape, write_lists

READ = ("table", "parameters", "nodes", "records", "by_depth", "stage_begins")
WRITTEN = ("index", "tape", "buckets", "numbers_of_columns")


@pytest.mark.parametrize("network", NETWORKS)
def test_forward(network):
    _, loss = Example(NETWORKS[network]).read(SENTENCES)
    loss.value()
    engine = current().engine
    slots = np.array(engine.slots)
    sizes = {"index": int(slots[at.CONTEXT.index_top]), "tape": int(slots[at.CONTEXT.tape_count]) * len(at.INSTRUCTION)}
    theirs = {name: np.array(engine.buffers[f"forward_{name}"])[:size] for name, size in sizes.items()}
    ours = {name: np.array(engine.buffers[name]) for name in (*READ, *WRITTEN[2:]) if name in engine.buffers}
    ours |= {name: np.zeros(size, np.int64) for name, size in sizes.items()}
    arrays: Any = ours
    # Indices outside of these are an IndexError; compiled code would corrupt memory.
    bounded = {name: Words((ctypes.c_int64 * array.size).from_buffer(array)) for name, array in arrays.items()}
    plan = Plan(slots.ctypes.data, **bounded)
    start_tape(plan.context)
    for group in each_group(plan, plan.by_depth, plan.context.planned_count, Node.runs_with):
        steps = group.signature.forward
        equal, block = skip_equal_columns(group, write_lists(group, steps))
        add_steps(group, steps, block)
        copy_values(equal)
    assert ours["tape"].tolist() == theirs["tape"].tolist()
    assert plan.context.index_top == sizes["index"]
    is_written = ours["index"] != 0
    assert (ours["index"][is_written] == theirs["index"][is_written]).all() and is_written.mean() > 0.3
