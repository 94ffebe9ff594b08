"""Sequences of a minibatch as columns of one array of (longest, number of sequences)."""

from __future__ import annotations

import numpy as np


class Padded:
    """The positions of sequence items in the padded array: item k of sequence j is in row k of column j.

    Items are listed sequence by sequence. `forward` holds each item's index in the flat array, `backward` its index
    when every sequence is read from its end. Both start at row 0, so padding comes after real items.
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
        """The position of each sequence's last item, which is its first when read backward."""
        return (self.lengths - 1) * self.columns + np.arange(self.columns)

    def spread(self, items, places: np.ndarray, padding: int = 0) -> np.ndarray:
        """Return an array with items at their positions and padding elsewhere."""
        flat = np.full(self.rows * self.columns, padding, np.int64)
        flat[places] = items
        return flat.reshape(self.rows, self.columns)
