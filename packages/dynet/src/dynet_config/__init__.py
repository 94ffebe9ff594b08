"""Settings that a program makes before `import dynet`, instead of `--dynet-...` flags on the command line.

If a program makes a setting here that the original DyNet also has, `import dynet` reads no flags.

>>> import dynet_config
>>> dynet_config.set(random_seed=42)
>>> dynet_config.get()["seed"]
42
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import EllipsisType
from typing import Literal

from dynet_core import config as _config
from dynet_core.files.names import Allow

DEFAULTS: dict[str, object] = {
    "mem": "512", "random_seed": 0, "autobatch": 0, "profiling": 0, "weight_decay": 0, "shared_parameters": 0,
    "requested_gpus": 0, "gpu_mask": [],
}  # fmt: skip
"""A dict: setting of the original DyNet, as an argument of `set` -> default."""
_GET_KEYS = {setting: key for key, setting in _config.CONFIG_ATTRIBUTES.items()}  # argument of `set` -> key in `get()`
_made_settings: dict[str, object] = {}  # name -> value of each setting that the program has made here
_replaces_flags = False  # whether the program has made settings of the original DyNet, so that flags are not read


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
    bf16: bool | Literal["emulate"] | None = None,
    lstm_builder: str | None = None,
    allow: Allow | None = None,
    own_classes: bool | EllipsisType = ...,
) -> None:  # noqa: A001
    """Change the settings that are given. The others stay as they are.

    The original DyNet does not have `threads`, `tf32`, `bf16`, `lstm_builder`, `allow` and `own_classes`. A program
    that sets only these can still be given `--dynet-...` flags on the command line.

    Args:
        mem, autobatch: accepted and ignored: memory grows with the graph, and batching is always on.
        random_seed: the seed of initial values, dropout and noise; 0 means a random seed.
        profiling: whether to profile the program; 0 means no.
        weight_decay: each update multiplies the parameters by 1 minus this number.
        shared_parameters: whether forked processes train the same parameters.
        requested_gpus: 1 to compute on a GPU.
        gpu_mask: a list with a number for each GPU of the machine: 1 to compute on this GPU, else 0.
        gpu: whether to compute on a GPU.
        threads: the number of threads for large graphs on the CPU; by default one for each core this process may use.
        tf32: whether matrix products on a GPU may round their factors to TF32: faster, with a relative error of about
            0.001.
        bf16: whether matrix products round their factors to bfloat16: faster, with a relative error of about 0.004.
            "emulate" rounds the same way on any CPU, but slowly.
        lstm_builder: "coupled" if `LSTMBuilder` means `CoupledLSTMBuilder`, "vanilla" if it means `VanillaLSTMBuilder`.
            The environment variable DYNET_LSTM_BUILDER can also set this.
        allow: the names of classes, such as "module.Class", whose objects may be loaded from files, in addition to
            those in the environment variable DYNET_ALLOW. See `dy.load`.
        own_classes: whether objects of the program's own classes may be loaded from files without `allow`. True is the
            default; a server that loads the files of others sets it to False. None is an error. See `dy.load`.

    Raises:
        ArgumentError: a value is out of its range; nothing has changed.
    """
    given = {name: value for name, value in locals().items() if value is not (... if name == "own_classes" else None)}
    _apply(given, "set")


def set_gpu(flag: bool = True) -> None:
    """Set whether to compute on a GPU."""
    _apply({"gpu": bool(flag)}, "set_gpu")


def _apply(new_settings: dict[str, object], function_name: str) -> None:
    global _replaces_flags
    _config.PARAMS.change(new_settings)
    _made_settings.update(new_settings)
    _replaces_flags = _replaces_flags or not new_settings or any(name in new_settings for name in (*DEFAULTS, "gpu"))
    # `allow` and `own_classes` never come too late, because they are read whenever a file is loaded.
    late = [f"{name}={value!r}" for name, value in new_settings.items() if name not in ("allow", "own_classes")]
    if _config.settings_applied and late:
        warnings.warn(
            f"dynet_config.{function_name}: {', '.join(late)} comes too late: `import dynet` has already applied the "
            f"settings; call dynet_config.{function_name} before it",
            RuntimeWarning,
            stacklevel=3,
        )


def get() -> dict[str, object] | None:
    """Return a dict for `DynetParams.from_config`, with all settings that the original DyNet also has.

    Settings that the program has not made here have their defaults. If it has made none of them, return None.
    """
    if not _replaces_flags:
        return None
    settings = {_GET_KEYS[name]: _made_settings.get(name, default) for name, default in DEFAULTS.items()}
    return settings | {"requested_gpus": 1} if gpu() else settings


def gpu() -> bool | None:
    """Return what `set_gpu` or the argument `gpu` of `set` last set; None if neither was used."""
    return _made_settings.get("gpu")  # type: ignore[return-value]
