"""Kernels whose code cannot be emitted while a certain file is missing, for `test_uncompilable.py`."""

from pathlib import Path

from dynet_kernels.table import KERNELS


class Broken:
    """A copy of a kernel that has no code while there is no file at `path`."""

    def __init__(self, kernel, path):
        self.kernel, self.path, self.key = kernel, path, f"{path} {kernel.key}"

    def __getattr__(self, name):
        if name == "kernel" or name.startswith("__"):  # as for an object that is being unpickled
            raise AttributeError(name)
        return getattr(self.kernel, name)

    def cpu_code(self, lanes):
        if not Path(self.path).exists():
            raise ValueError(f"there is no {Path(self.path).name}")
        return self.kernel.cpu_code(lanes)


def break_kernel(name, path):
    KERNELS._kernels[name] = Broken(KERNELS[name], str(path))
