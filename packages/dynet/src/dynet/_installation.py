"""Is this installation of one piece? Asked before any sibling package is imported."""

import os
import re
import sys
from contextlib import suppress
from importlib import metadata, util
from importlib.machinery import all_suffixes
from pathlib import Path

DISTRIBUTION = "dynet-tvm"
MODULES = ("dynet", "_dynet")
SIBLINGS = ("dynet-kernels", "dynet-core", "dynet-ops", "dynet-rnn", "dynet-optim")


def is_installed(module: str) -> bool:
    """Whether the module can be imported; it is not imported here."""
    return util.find_spec(module) is not None


def is_clearing() -> bool:
    """Whether this process is `python -m dynet --clear-cache`."""
    if sys.argv[:1] != ["-m"] or "--clear-cache" not in sys.argv:  # the module that -m names is still being looked for
        return False
    started = " ".join(sys.orig_argv)
    return re.match(r" -m ?dynet ", started[started.index(" -m") :]) is not None


def version_of(distribution: str) -> str | None:
    """The distribution's version, None where it is not installed (or used straight from a source tree)."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check(own_version: str) -> None:
    """Raise ImportError where the packages do not fit together, or another library has modules of the same names."""
    for distribution in (DISTRIBUTION, *SIBLINGS):
        found = version_of(distribution)
        if found not in (None, own_version):
            raise ImportError(
                f"dynet {own_version} needs {distribution} {own_version}, but {distribution} {found} is installed. "
                f'Run: pip install "{distribution}=={own_version}"'
            )
    others = owners()
    if others:
        named = " and ".join(f"{name} {version}" for name, version in others.items())
        raise ImportError(
            f"{DISTRIBUTION} {own_version} cannot be used beside {named}, which installs modules of the same names "
            f"(dynet, _dynet). Run: pip uninstall {' '.join(others)}, then: "
            f'pip install --force-reinstall --no-deps "{DISTRIBUTION}=={own_version}"; '
            "or keep them in separate environments"
        )


def owners() -> dict[str, str]:
    """Other distributions that have `dynet` or `_dynet`, and their versions.

    The names in the directories of `sys.path` tell whether it is worth looking, which takes less than a millisecond.
    """
    found: dict[str, str] = {}
    for folder in map(Path, sys.path):
        with suppress(OSError):
            names = [name for name in os.listdir(folder) if name.lower().lstrip("_").startswith("dynet")]
            information = [name for name in names if name.endswith((".dist-info", ".egg-info"))]
            if any(_is_foreign(folder, name) for name in names):  # whatever the distribution is called
                information = [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]
            for name in information:
                _add_owner(found, metadata.Distribution.at(folder / name))
    return found


def _is_foreign(folder: Path, name: str) -> bool:
    """Whether a file or directory is a module `dynet` or `_dynet` that is not this library's."""
    if name == "dynet":
        return (folder / name / "__init__.py").exists() and not (folder / name / Path(__file__).name).exists()
    return _module(name) in MODULES


def _module(name: str) -> str:
    """The module that a file is, by its name; empty if it is none."""
    suffix = next((suffix for suffix in sorted(all_suffixes(), key=len)[::-1] if name.endswith(suffix)), None)
    return name.removesuffix(suffix) if suffix else ""


def _add_owner(found: dict[str, str], distribution: metadata.Distribution) -> None:
    if not (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO")):
        return  # something that was not removed as a whole
    name = distribution.metadata["Name"]
    if re.sub(r"[-_.]+", "-", name).lower() in (DISTRIBUTION, *SIBLINGS):
        return
    has = set((distribution.read_text("top_level.txt") or "").split())
    for file in distribution.files or ():
        has.add(file.parts[0] if len(file.parts) > 1 else _module(file.name))
    if has & {*MODULES}:
        found[name] = distribution.version


def extra_with(name: str) -> str | None:
    """The extra of dynet-core that may bring a missing name, judged by how DyNet names things."""
    if name.startswith("_"):
        return None
    if name.endswith("Builder"):
        extra = "rnn"
    elif name.endswith("Trainer"):
        extra = "optim"
    else:
        extra = "ops"
    return None if is_installed(f"dynet_{extra}") else extra
