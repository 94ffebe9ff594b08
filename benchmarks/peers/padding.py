"""Sequences of a minibatch side by side, as columns of one array of (longest, number of sequences)."""

from __future__ import annotations

import numpy as np


class Padded:
    """Where the items of sequences stand: sequence after sequence, item k of sequence j in row k of column j.

    `forward` holds each item's place in the flat array, `backward` its place when every sequence is read from its
    end; both begin at row 0, so that what is padded comes after what is real.
    """

    def __init__(self, lengths: list[int], rows: int = 0):
        self.lengths = np.array(lengths)
        self.columns = len(lengths)
        self.rows = max(rows, max(lengths))
        self.starts = np.cumsum(self.lengths) - self.lengths
        column = np.repeat(np.arange(self.columns), self.lengths)
        row = np.arange(len(column)) - self.starts[column]
        self.forward = row * self.columns + column
        self.backward = (self.lengths[column] - 1 - row) * self.columns + column

    @property
    def last(self) -> np.ndarray:
        """The place of each sequence's last item, which read backwards is its first."""
        return (self.lengths - 1) * self.columns + np.arange(self.columns)

    def spread(self, items, places: np.ndarray, padding: int = 0) -> np.ndarray:
        """Items at their places, padding elsewhere."""
        flat = np.full(self.rows * self.columns, padding, np.int64)
        flat[places] = items
        return flat.reshape(self.rows, self.columns)
