"""`batches_by_length`: lists of examples of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from .annotations import Index, Number
from .checks import NOT_NEGATIVE, checked_flag, checked_list, checked_number, whole
from .errors import ArgumentError, ArgumentTypeError
from .messages.wording import shown
from .random import random_stream

Example = TypeVar("Example")


def batches_by_length(
    examples: Iterable[Example],
    size: Index,
    length: Callable[[Example], Number] = len,  # type: ignore[assignment]
    max_total: Index | None = None,
    shuffle: bool = True,
    generator: np.random.Generator | None = None,
) -> list[list[Example]]:
    """Return minibatches of examples of similar length, such as sentences, as lists.

    Each graph batches itself, so examples of a minibatch may differ in length. Similar lengths take fewer steps.

    Args:
        examples: the examples.
        size: the largest number of examples in a minibatch.
        length: the length of an example, a function; by default `len`. For pairs, `lambda pair: len(pair[0])`.
        max_total: the largest sum of lengths in a minibatch, which has more only if it has one example.
        shuffle: whether minibatches come in a random order, and examples of one length too. If not, the shortest are
            first.
        generator: draws the order. By default, it comes from the same random numbers as initial values, so
            `reset_random_seed` determines it, and all processes that train one model get the same minibatches.

    >>> dy.batches_by_length(["a", "cccc", "bb", "dddd", "e"], 2, shuffle=False)
    [['a', 'e'], ['bb', 'cccc'], ['dddd']]
    """
    caller, items = "batches_by_length", checked_list("batches_by_length", examples, "examples")
    most, limit = whole(caller, "size", size), None if max_total is None else whole(caller, "max_total", max_total)
    if most < 1 or limit is not None and limit < 1:
        raise ArgumentError(f"{caller}: size and max_total must be at least 1, got {most} and {limit}")
    if not isinstance(generator, np.random.Generator | None) or not callable(length):
        got = f"{shown(length)} and {shown(generator)}"
        raise ArgumentTypeError(f"{caller}: length must be a function, generator a numpy.random.Generator, not {got}")
    is_shuffled = checked_flag(caller, "shuffle", shuffle)
    lengths = [checked_number(f"{caller}: a length", length(item), NOT_NEGATIVE) for item in items]

    def order(count: int) -> list[int]:
        if not is_shuffled:
            return [*range(count)]
        keys = generator.random(count) if generator else random_stream.stream().uniform(0, 1, count)
        return np.argsort(keys, kind="stable").tolist()

    batches, total = [[]], 0
    for index in sorted(order(len(items)), key=lengths.__getitem__):
        if len(batches[-1]) == most or limit is not None and batches[-1] and total + lengths[index] > limit:
            batches.append([])
            total = 0
        batches[-1].append(items[index])
        total += lengths[index]
    return [batches[k] for k in order(len(batches)) if batches[k]]
