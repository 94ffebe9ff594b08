"""Builds modules into the cache of compiled kernels, for tests."""

from dynet_kernels import building
from dynet_kernels.cache import store


def load_or_build(key, build):
    """Call `load_or_make` for an object file that `build(path)` writes."""

    def make(_):
        with building.locked_folder(store.building_site()) as folder:
            build(folder / "kernels.o")
            return (folder / "kernels.o").read_bytes()

    return store.load_or_make(key, make)
