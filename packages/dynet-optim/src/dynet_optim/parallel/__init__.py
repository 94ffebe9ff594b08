"""Training one model in several processes, which MPI starts and connects."""

from .data_parallel import DataParallel

__all__ = ["DataParallel"]
