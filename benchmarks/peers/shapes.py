"""Shapes of minibatches, for peers that compile a training step for each combination of shapes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

AHEAD = 20_000
"""How many sentences `different_shapes` looks at. It is ten times the number of sentences in the data, because
minibatches are formed at random."""


def rounded(length: int, bucket: int = 4) -> int:
    """Round a length up to a multiple of `bucket`, to keep the number of shapes low."""
    return -(-length // bucket) * bucket


def different_shapes(batches: Iterator[dict], minibatch: int) -> Iterator[dict]:
    """Yield one minibatch for each combination of shapes in the next AHEAD sentences.

    A minibatch is a dictionary. Its values are arrays or further dictionaries.
    """
    seen = set()
    for batch in itertools.islice(batches, AHEAD // minibatch):
        shapes = shapes_of(batch)
        if shapes not in seen:
            seen.add(shapes)
            yield batch


def shapes_of(batch: dict) -> tuple:
    """Return the shapes of a minibatch's arrays, in the order of the dictionary."""
    return tuple(shapes_of(value) if isinstance(value, dict) else value.shape for value in batch.values())
