"""Settings made in a program before `import dynet`; they go before the command line's.

>>> import dynet_config
>>> dynet_config.set(random_seed=42)
"""

from __future__ import annotations

import warnings

from dynet_core import config as _config

_wanted: dict[str, object] = {}


def set(
    mem=None,
    random_seed=None,
    autobatch=None,
    profiling=None,
    weight_decay=None,
    threads=None,
    shared_parameters=None,
    requested_gpus=None,
    gpu=None,
    tf32=None,
    lstm_builder=None,
    allow=None,
):  # noqa: A001
    """Set what is given; the rest stays as it is.

    Args:
        threads: how many share the work of large graphs on the CPU, if not one for each core of this process.
        tf32: whether products on a GPU may round their factors to TF32: about a thousandth of them, for speed.
        lstm_builder: what LSTMBuilder means, "coupled" or "vanilla", as DYNET_LSTM_BUILDER in the environment.
        allow: classes that files may hold objects of, as names such as "module.Class", beside those that DYNET_ALLOW
            in the environment names. See `dy.load`.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    _apply(given, "set")


def _apply(given: dict[str, object], called: str) -> None:
    late = {name: value for name, value in given.items() if name != "allow"}  # which counts whenever a file is loaded
    if _config.in_force and late:
        settings = ", ".join(f"{name}={value!r}" for name, value in late.items())
        warnings.warn(
            f"dynet_config.{called}: {settings} comes too late, `import dynet` has put the settings into force; "
            f"call dynet_config.{called} before it",
            RuntimeWarning,
            stacklevel=3,
        )
    _wanted.update(given)
    for name, value in given.items():
        setter = getattr(_config.PARAMS, f"set_{name}", None)
        if setter:
            setter(value)
        else:
            setattr(_config.PARAMS, name, value)


def set_gpu(flag: bool = True) -> None:
    """Ask for a GPU."""
    _apply({"gpu": bool(flag)}, "set_gpu")


def get() -> dict[str, object]:
    """What has been set."""
    return dict(_wanted)


def gpu() -> bool:
    """Whether a GPU was asked for."""
    return bool(_wanted.get("gpu", False))
