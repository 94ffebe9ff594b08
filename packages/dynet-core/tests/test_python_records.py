"""The Python recorder frees the memory of large graphs when small ones follow."""

import numpy as np

from dynet_core.recorder.python_records import Records


def held(records):
    replaced = [buffer for graph in records._outgrown_buffers for buffer in graph]
    return sum(len(buffer) for buffer in (*records._buffers, *replaced))


def record(records, inputs, nodes):
    """Record a graph of some nodes, and check the contents of its memory."""
    start = records.take(np.arange(inputs, dtype=np.float32))
    for node in range(nodes):
        assert records.append([7, node], 1, records.version) == node
    assert np.array_equal(records.floats(start, inputs), np.arange(inputs, dtype=np.float32))
    assert records.integers() == [number for node in range(nodes) for number in (7, node)]


def test_memory_of_large_graphs_is_freed():
    records = Records()
    for _ in range(3):
        record(records, 1 << 20, 1 << 16)
        assert held(records) > 1 << 20
        records.renew()
    for _ in range(4):
        record(records, 100, 10)
        records.renew()
    assert held(records) < 1 << 17


def test_memory_that_each_graph_needs_is_kept():
    records = Records()
    for _ in range(3):
        record(records, 1 << 18, 1)
        kept = records.inputs_address
        records.renew()
    record(records, 1 << 18, 1)
    assert records.inputs_address == kept
