"""Is this installation of one piece? Asked before any sibling package is imported."""

import warnings
from importlib import metadata, util
from pathlib import Path

SIBLINGS = ("dynet-kernels", "dynet-core", "dynet-ops", "dynet-rnn", "dynet-optim")


def is_installed(module: str) -> bool:
    """Whether the module can be imported; it is not imported here."""
    return util.find_spec(module) is not None


def has_foreign_dynet() -> bool:
    """Whether `import _dynet` finds another library than this one's own module of that name."""
    spec = util.find_spec("_dynet")
    return spec is not None and spec.origin != str(Path(__file__).parent.parent / "_dynet" / "__init__.py")


def version_of(distribution: str) -> str | None:
    """The distribution's version, None where it is not installed (or used straight from a source tree)."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check(own_version: str) -> None:
    """Raise ImportError where the packages do not fit together; warn where the C++ library is there too."""
    registered = version_of("dynet")
    if registered not in (None, own_version):
        raise ImportError(
            f"this is dynet {own_version}, but the distribution dynet {registered} is installed as well "
            f"(up to 2.1.2 it is the original C++ library). Run: pip uninstall dynet, "
            f'then: pip install "dynet=={own_version}"'
        )
    for sibling in SIBLINGS:
        found = version_of(sibling)
        if found not in (None, own_version):
            raise ImportError(
                f"dynet {own_version} needs {sibling} {own_version}, but {sibling} {found} is installed. "
                f'Run: pip install "{sibling}=={own_version}"'
            )
    if has_foreign_dynet():
        owner = " and ".join(metadata.packages_distributions().get("_dynet", ["an unknown distribution"]))
        warnings.warn(
            f"the original C++ library is installed here too (_dynet, from {owner}): which of the two "
            f"`import dynet` finds depends on the order of sys.path. Keep them in separate environments",
            RuntimeWarning,
            stacklevel=3,
        )


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
