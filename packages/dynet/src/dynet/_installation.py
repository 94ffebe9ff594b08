"""Checks of the installation. `import dynet` makes them before it imports other packages of this library."""

import os
import re
import sys
from contextlib import suppress
from importlib import metadata, util
from importlib.machinery import all_suffixes
from pathlib import Path

DISTRIBUTION = "dynet-tvm"
MODULES = ("dynet", "_dynet")  # the modules that other distributions, such as the original DyNet, may also have
SIBLING_DISTRIBUTIONS = ("dynet-kernels", "dynet-core", "dynet-ops", "dynet-rnn", "dynet-optim")


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it. A folder without `__init__.py` does not count."""
    return getattr(util.find_spec(module), "origin", None) is not None


def is_command() -> bool:
    """Return whether this is `python -m dynet`, which imports `dynet` before it runs the command."""
    if sys.argv[:1] != ["-m"]:  # Python puts "-m" there until it has found the module to run
        return False
    command_line = " ".join(sys.orig_argv)
    return re.match(r" -m ?dynet( |$)", command_line[command_line.index(" -m") :]) is not None


def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution; None if pip has not installed it, as in a source tree."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check(own_version: str) -> None:
    """Raise ImportError if a package of this library has a different version than `own_version`.

    Also raise it if a different distribution, such as the original DyNet, has one of MODULES.
    """
    for distribution in (DISTRIBUTION, *SIBLING_DISTRIBUTIONS):
        version = version_of(distribution)
        if version not in (None, own_version):
            raise ImportError(
                f"dynet {own_version} needs {distribution} {own_version}, but {distribution} {version} is installed. "
                f'Run: pip install "{distribution}=={own_version}"'
            )
    if conflicts := conflicting_distributions():
        listed = " and ".join(f"{name} {version}" for name, version in conflicts.items())
        raise ImportError(
            f"{DISTRIBUTION} {own_version} cannot be used beside {listed}, which installs modules of the same names "
            f"(dynet, _dynet). Run: pip uninstall {' '.join(conflicts)}, then: "
            f'pip install --force-reinstall --no-deps "{DISTRIBUTION}=={own_version}"; '
            "or keep them in separate environments"
        )


def conflicting_distributions() -> dict[str, str]:
    """Return the names and versions of other distributions that have a module `dynet` or `_dynet`.

    Listing the folders of `sys.path` takes less than a millisecond. If a folder has another library's module, the
    metadata of all distributions in this folder are read.
    """
    conflicts: dict[str, str] = {}
    for folder in map(Path, sys.path):
        with suppress(OSError):
            all_names = os.listdir(folder)
            names = [name for name in all_names if name.lower().lstrip("_").startswith("dynet")]
            if any(_is_foreign(folder, name) for name in names):
                names = all_names  # the distribution that installed the module may have any name
            for name in names:
                if name.endswith((".dist-info", ".egg-info")):
                    _add_if_conflicting(conflicts, metadata.Distribution.at(folder / name))
    return conflicts


def _is_foreign(folder: Path, name: str) -> bool:
    """Return whether a file or folder is another library's `dynet` or `_dynet`: only our `dynet` has this file."""
    if name == "dynet":
        return (folder / name / "__init__.py").exists() and not (folder / name / Path(__file__).name).exists()
    return _module_name(name) in MODULES


def _module_name(name: str) -> str:
    """Return the name of the module in a file such as `_dynet.so`; "" if it is not a module."""
    suffix = max(filter(name.endswith, all_suffixes()), key=len, default="")
    return name.removesuffix(suffix) if suffix else ""


def _add_if_conflicting(conflicts: dict[str, str], distribution: metadata.Distribution) -> None:
    """Add a distribution to `conflicts`, if it is another library's and has one of MODULES."""
    if not (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO")):
        return  # an incomplete uninstall has left a directory without metadata
    name = distribution.metadata["Name"]
    if re.sub(r"[-_.]+", "-", name).lower() in (DISTRIBUTION, *SIBLING_DISTRIBUTIONS):
        return
    modules = set((distribution.read_text("top_level.txt") or "").split())
    for file in distribution.files or ():
        modules.add(file.parts[0] if len(file.parts) > 1 else _module_name(file.name))
    if modules & {*MODULES}:
        conflicts[name] = distribution.version


def is_complete() -> bool:
    return all(is_installed(f"dynet_{extra}") for extra in ("ops", "rnn", "optim"))


def guessed_extra(name: str) -> str | None:
    """Guess which extra, such as "rnn", has a missing name; None if the name is private or the extra is installed."""
    if name.startswith("_"):
        return None
    extra = "rnn" if name.endswith("Builder") else "optim" if name.endswith("Trainer") else "ops"
    return None if is_installed(f"dynet_{extra}") else extra
