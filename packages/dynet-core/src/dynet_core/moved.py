"""Gives modules their earlier names too, because pickles of earlier versions contain these names."""

import sys


def also_named(package: str, names: dict[str, str]) -> None:
    """Give modules of a package other names. `names` maps a module to its earlier names, separated by spaces."""
    for module, earlier in names.items():
        for name in earlier.split():
            sys.modules[f"{package}.{name}"] = sys.modules[f"{package}.{module}"]
