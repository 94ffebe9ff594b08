"""The ops that the tests of the table are made for: all of them, or the one that the option --op names."""

import dynet_ops  # noqa: F401  (fills OPS)
from dynet_core.op import OPS

TESTED = dict(OPS)


def only(name: str) -> None:
    """Leave only one op. Call this before the tests are collected.

    Raises:
        ValueError: there is no such op.
    """
    if name not in OPS:
        raise ValueError(f"there is no op {name!r}; the ops are {', '.join(sorted(OPS))}")
    for other in set(TESTED) - {name}:
        del TESTED[other]
