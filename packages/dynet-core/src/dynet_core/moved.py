"""Lets modules be imported by their earlier names too, because pickles of earlier versions contain these names."""

import sys


def also_named(package: str, names: dict[str, str]) -> None:
    """Let modules be imported by other names. `names`: module of `package` -> earlier names, separated by spaces."""
    for module, earlier_names in names.items():
        for name in earlier_names.split():
            sys.modules[f"{package}.{name}"] = sys.modules[f"{package}.{module}"]
