"""The ops and samples under test: all ops, or for the table tests only the op that --op names."""

import pytest

import dynet_ops  # noqa: F401  (fills OPS)
from dynet_core.op import OPS

TESTED = dict(OPS)


def only(name: str) -> None:
    """Keep only one op. Call this before the tests are collected.

    Raises:
        ValueError: there is no such op.
    """
    if name not in OPS:
        raise ValueError(f"there is no op {name!r}; the ops are {', '.join(sorted(OPS))}")
    for other in set(TESTED) - {name}:
        del TESTED[other]


def each_sample(ops=OPS, *, few=True):
    """Return a parameter (op, sample) for each sample of these ops.

    If `few`, `nox -s tests` takes the last sample of each op, mostly the largest, and `nox -s thorough` the others.
    """
    return [
        pytest.param(
            op,
            sample,
            id=f"{op.name}-{number}",
            marks=[pytest.mark.thorough] * (few and number < len(op.samples) - 1),
        )
        for op in ops.values()
        for number, sample in enumerate(op.samples)
    ]
