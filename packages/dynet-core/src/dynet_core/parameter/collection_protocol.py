"""Protocols for type checkers: the methods that modules call on objects whose classes they cannot import.

Such an import would be circular, because the module that defines the class imports the module that uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..files.tensors import StoredTensor


class Collection(Protocol):
    """The methods of a parameter collection that parameters and the package `files` call."""

    def name(self) -> str: ...
    def parameters_list(self) -> Sequence[object]: ...
    def lookup_parameters_list(self) -> Sequence[object]: ...
    def _add_loaded(self, tensor: StoredTensor) -> Any: ...
    def _all_or_nothing(self, floats: int | None = None) -> AbstractContextManager[None]: ...
    def _relatives(self) -> Sequence[Any]: ...
