"""Settings made in a program before `import dynet`. Those that DyNet knows decide alone: the command line's
`--dynet-...` flags are then not read.

>>> import dynet_config
>>> dynet_config.set(random_seed=42)
>>> dynet_config.get()["seed"]
42
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from dynet_core import config as _config
from dynet_core.files.names import Allow

DEFAULTS: dict[str, object] = {
    "mem": "512", "random_seed": 0, "autobatch": 0, "profiling": 0, "weight_decay": 0, "shared_parameters": 0,
    "requested_gpus": 0, "gpu_mask": [],
}  # fmt: skip
"""The settings that DyNet knows, as they are unless they are set."""
_CALLED = {setting: name for name, setting in _config.CONFIG.items()}
_wanted: dict[str, object] = {}
_decides = False  # whether something that DyNet knows has been set


def set(
    mem: int | str | None = None,
    random_seed: int | None = None,
    autobatch: bool | int | None = None,
    profiling: int | None = None,
    weight_decay: float | None = None,
    shared_parameters: bool | int | None = None,
    requested_gpus: int | None = None,
    gpu_mask: Sequence[int] | None = None,
    *,
    gpu: bool | None = None,
    threads: int | None = None,
    tf32: bool | None = None,
    lstm_builder: str | None = None,
    allow: Allow | None = None,
) -> None:  # noqa: A001
    """Set what is given; the rest stays as it is.

    `threads`, `tf32`, `lstm_builder` and `allow` are this library's own: to set only these leaves the command line in
    force.

    Args:
        mem: accepted, and not needed: memory grows with the graph.
        random_seed: the seed of initial values, dropout and noise; 0 asks for a random one.
        autobatch: accepted, and changes nothing: batching is always on.
        profiling: whether the program is profiled.
        weight_decay: the part by which each update shrinks parameters.
        shared_parameters: whether forked processes train the same parameters.
        requested_gpus: 1 asks for a GPU.
        gpu_mask: for each GPU, 1 if it is asked for, or 0.
        gpu: whether a GPU is asked for.
        threads: how many share the work of large graphs on the CPU, if not one for each core of this process.
        tf32: whether products on a GPU may round their factors to TF32: about a thousandth of them, for speed.
        lstm_builder: what LSTMBuilder means, "coupled" or "vanilla", as DYNET_LSTM_BUILDER in the environment.
        allow: classes that files may hold objects of, as names such as "module.Class", beside those that DYNET_ALLOW
            in the environment names. See `dy.load`.

    Raises:
        ArgumentError: a value is out of its range; nothing has changed.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    _apply(given, "set")


def set_gpu(flag: bool = True) -> None:
    """Ask for a GPU."""
    _apply({"gpu": bool(flag)}, "set_gpu")


def _apply(given: dict[str, object], called: str) -> None:
    global _decides
    _config.PARAMS.change(given)
    _wanted.update(given)
    _decides = _decides or not given or any(name in given for name in (*DEFAULTS, "gpu"))
    late = {name: value for name, value in given.items() if name != "allow"}  # which counts whenever a file is loaded
    if _config.in_force and late:
        settings = ", ".join(f"{name}={value!r}" for name, value in late.items())
        warnings.warn(
            f"dynet_config.{called}: {settings} comes too late, `import dynet` has put the settings into force; "
            f"call dynet_config.{called} before it",
            RuntimeWarning,
            stacklevel=3,
        )


def get() -> dict[str, object] | None:
    """The settings that DyNet knows, as `DynetParams.from_config` takes them; None if none of them has been set."""
    if not _decides:
        return None
    found = {_CALLED[name]: _wanted.get(name, default) for name, default in DEFAULTS.items()}
    return found | {"requested_gpus": 1} if gpu() else found


def gpu() -> bool | None:
    """What `set_gpu` has said; None if it has not been called."""
    return _wanted.get("gpu")  # type: ignore[return-value]
