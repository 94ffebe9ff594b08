"""Type aliases for annotating the arguments and results of public functions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
"""Values as stored in memory and in files."""
Array: TypeAlias = npt.NDArray[Any]
"""Values as users read them: float64, unless an argument `dtype` says otherwise."""
Numbers: TypeAlias = npt.ArrayLike
"""Real numbers: an array, a list, or nested lists."""
Number: TypeAlias = float | np.floating[Any] | np.integer[Any]  # one real number
Index: TypeAlias = SupportsIndex
"""An int or a numpy integer."""
Indices: TypeAlias = Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]]
Dims: TypeAlias = SupportsIndex | Indices  # one or several dimensions, given by size or by index
Key: TypeAlias = SupportsIndex | slice | tuple[SupportsIndex | slice, ...]
"""The key in `x[key]`: an index or a slice, or a tuple of them for the first dimensions. The other dimensions are kept
whole."""
Path: TypeAlias = str | os.PathLike[str]
