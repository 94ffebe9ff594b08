"""What annotations call the things that users give and get."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]
Numbers: TypeAlias = npt.ArrayLike
"""Real numbers: an array, a list, or lists within lists."""
Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
Index: TypeAlias = SupportsIndex
"""A whole number, Python's or numpy's."""
Indices: TypeAlias = Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]]
Dims: TypeAlias = SupportsIndex | Indices
Key: TypeAlias = SupportsIndex | slice | tuple[SupportsIndex | slice, ...]
"""What may stand in the brackets of `x[...]`."""
Path: TypeAlias = str | os.PathLike[str]
