"""The words in each parser state. The blind parser knows all of them before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator

from synthetic import SHIFT

WORDS = 4  # per state


def parses(batch: list) -> Iterator[tuple[int, ...]]:
    """Yield the four words of each state of a minibatch: three from the stack and the next one.

    Words are numbered across the minibatch; the total number of words stands for `nothing`.
    """
    nothing = sum(len(sentence) for sentence, _ in batch)
    start = 0
    for sentence, transitions in batch:
        end = start + len(sentence)
        following = start
        stack = [nothing] * 3
        for transition in transitions:
            yield stack[-3], stack[-2], stack[-1], following if following < end else nothing
            if transition == SHIFT:
                stack.append(following)
                following += 1
            else:
                stack.pop()
        start = end
