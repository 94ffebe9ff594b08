"""The same network as `transformer`, for which torch has no builder that is quicker."""

from .transformer import make

__all__ = ["make"]
