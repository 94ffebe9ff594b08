"""The settings of the process, from the command line (`--dynet-seed 1`), `dynet_config`, or a `DynetParams`."""

from __future__ import annotations

import copy
import difflib
import functools
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from dynet_kernels.layout import MOST_THREADS
from dynet_kernels.machine import sharing

from .annotations import Number
from .checks import FRACTION, checked_flag, checked_list, whole
from .compute import device
from .compute.profiling import profile_program
from .errors import ArgumentError, ArgumentTypeError
from .files.names import Allow, allowed_by_name
from .messages.hints import Closed
from .random.noise import reset_random_seed

T = TypeVar("T", int, float)
THREAD_COUNTS = range(1, MOST_THREADS + 1)


def _parser(convert: Callable[[str], Any], is_allowed: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Return a function that converts text by `convert`, and raises ValueError unless `is_allowed(number)`."""

    def parse(text: str) -> Any:
        if not is_allowed(number := convert(text)):
            raise ValueError
        return number

    return parse


def _megabytes(text: str) -> int:
    """Return the sum of the megabytes in a value of `--dynet-mem`. (DyNet takes four, for four kinds of memory.)"""
    sizes = [*map(int, text.split(","))]
    if min(sizes) < 0:
        raise ValueError
    return sum(sizes)


FLAGS: dict[str, tuple[str, Callable[[str], Any] | None, str]] = {
    "mem": ("mem", _megabytes, "a number of megabytes, or several separated by commas"),
    "seed": ("random_seed", int, "a whole number"),
    "weight-decay": ("weight_decay", _parser(float, FRACTION[1]), "a number of at least 0, less than 1"),
    "autobatch": ("autobatch", int, "0 or 1"),
    "autobatch-strategy": ("autobatch", int, "a whole number"),
    "profiling": ("profiling", int, "a whole number"),
    "threads": ("threads", _parser(int, THREAD_COUNTS.__contains__), f"a whole number from 1 to {MOST_THREADS}"),
    "gpus": ("requested_gpus", int, "a whole number"),
    "gpu-ids": ("gpu_ids", str, "numbers separated by commas"),
    "devices": ("devices", str, "devices separated by commas, such as CPU or GPU:0"),
    "gpu": ("gpu", None, ""),
    "tf32": ("tf32", None, ""),
    "bf16": ("bf16", None, ""),
    "viz": ("viz", None, ""),
    "shared-parameters": ("shared_parameters", None, ""),
}
"""Command-line flags: text after `--dynet-` -> (attribute of DynetParams; function that parses the value, or None if
the flag takes no value; description of the allowed values, for error messages)."""

# Wrong flag -> the flag to suggest. For any other wrong flag, the most similar flag is suggested.
SUGGESTED_FLAGS = {**dict.fromkeys(("l2", "l2-decay", "lambda"), "weight-decay"), "cpus": "threads", "cuda": "gpu"}


class DynetParams(Closed):
    """The settings of the library for this process. Change them before `init`, which applies them.

    >>> params = DynetParams()
    >>> params.set_random_seed(42)
    >>> params.init()
    """

    mem: int = 512
    random_seed: int = 0
    weight_decay: float = 0.0
    autobatch: int = 0
    profiling: int = 0
    threads: int = 0
    requested_gpus: int = 0
    gpu: bool = False
    tf32: bool = False
    bf16: bool | str = False
    viz: bool = False
    shared_parameters: bool = False
    gpu_ids: str = ""
    devices: str = ""
    lstm_builder: str = ""  # the LSTM that `LSTMBuilder` makes, "coupled" or "vanilla"; "" if the user has not chosen
    # What `load` may use: name in a file -> the class or function, or None if the user gave only its name.
    allow: dict[str, object] = {}
    own_classes: bool = True  # whether `load` may make objects of the program's own classes that `allow` lacks

    def __init__(self) -> None:
        self.lstm_builder = os.environ.get("DYNET_LSTM_BUILDER", "")
        self.allow = _allowed_by_environment()

    def from_args(self, shared_parameters: bool | None = None) -> None:
        """Read settings from `sys.argv`, which stays as it is. `shared_parameters`, if not None, is a setting too."""
        self.read(sys.argv[1:])
        if shared_parameters is not None:
            self.shared_parameters = bool(shared_parameters)

    def read(self, arguments: Sequence[str]) -> None:
        """Read settings from command-line arguments, such as ["--dynet-seed", "1"].

        Arguments that start with neither `--dynet-` nor `--dynet_` are ignored. An unknown flag with one of these
        prefixes causes a warning.

        Raises:
            ArgumentError: the value of a flag is missing or malformed.
        """
        remaining = iter(arguments)
        for argument in remaining:
            if not argument.startswith(("--dynet-", "--dynet_")):
                continue
            flag, has_value, value = argument[len("--dynet-") :].partition("=")
            flag = flag.replace("_", "-")
            if flag not in FLAGS:
                nearest = SUGGESTED_FLAGS.get(flag) or difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0.0)[0]
                warnings.warn(f"there is no --dynet-{flag}; did you mean --dynet-{nearest}?", stacklevel=3)
                continue
            attribute, parse, expected = FLAGS[flag]
            if flag == "bf16" and has_value:
                if value != "emulate":
                    raise ArgumentError(f"--dynet-bf16 takes no value, or 'emulate', got {value!r}")
                self.bf16 = value
                continue
            if parse is None:
                setattr(self, attribute, True)
                continue
            text = value if has_value else next(remaining, None)
            try:
                setattr(self, attribute, parse(text or ""))
            except ValueError:
                got = "nothing follows it" if text is None else f"got {text!r}"
                raise ArgumentError(f"--dynet-{flag} takes {expected}, {got}") from None

    def init(self) -> None:
        """Apply the settings to this process: choose the device, the number of threads and the random seed.

        Raises:
            ArgumentError: a setting is malformed, several GPUs are requested, a GPU is requested together with
                shared parameters or after parameters have been made, or both TF32 and bfloat16 are requested.
            DeviceError: the requested GPU cannot be used, or the device has no instructions for TF32 or bfloat16; the
                message names what is missing.
        """
        gpu = self._requested_gpu()
        if gpu is not None:
            if self.shared_parameters:
                raise ArgumentError("processes share parameters on the CPU only, and a GPU was asked for")
            device.choose(gpu)
        device.round_factors(self.tf32, self.bf16)
        if self.threads:  # 0 keeps the default: one thread for each core of this process, but at most 8
            sharing.use(self.threads)
        # 0 keeps the random seed drawn at import. Seeds that are negative or too large become 2**32 - 1.
        if self.random_seed:
            reset_random_seed(min(max(self.random_seed, -1) % 2**64, 2**32 - 1))
        if self.profiling:
            profile_program()

    def _requested_gpu(self) -> int | None:
        """Return the number of the requested GPU, or None for the CPU."""
        names = _split_at_commas(self.devices.upper())
        if wrong_names := [name for name in names if not re.fullmatch(r"CPU|GPU:\d+", name)]:
            raise ArgumentError(f"--dynet-devices takes {FLAGS['devices'][2]}, got {wrong_names[0]!r}")
        indices = [int(name[4:]) for name in names if name != "CPU"]
        try:
            ids = [*map(int, _split_at_commas(self.gpu_ids))]
        except ValueError:
            raise ArgumentError(f"--dynet-gpu-ids takes {FLAGS['gpu-ids'][2]}, got {self.gpu_ids!r}") from None
        if not indices and (self.gpu or self.requested_gpus or ids):
            indices = ids or [0]
        if (count := max(len(indices), self.requested_gpus)) > 1:
            raise ArgumentError(f"{count} GPUs were asked for; a process uses one")
        return indices[0] if indices else None

    def change(self, settings: Mapping[str, Any]) -> None:
        """Change several settings, given by attribute name. If a value is not allowed, change nothing."""
        new_settings = copy.copy(self)
        for name, value in settings.items():  # call the setter, which checks the value, or assign if there is none
            getattr(new_settings, f"set_{name}", functools.partial(setattr, new_settings, name))(value)
        vars(self).update(vars(new_settings))

    def set_mem(self, mem: int | str) -> None:
        """Store how many megabytes to allocate: an int, or a value of `--dynet-mem` such as "128,128,128,128".

        This has no effect, because memory grows with the graph.
        """
        if not isinstance(mem, str):
            self.mem = _checked_setting("set_mem", mem, int)
            return
        try:
            self.mem = _megabytes(mem)
        except ValueError:
            raise ArgumentError(f"set_mem: expected {FLAGS['mem'][2]}, got {mem!r:.40}") from None

    def set_random_seed(self, random_seed: int) -> None:
        """Set the seed of initial values, dropout and noise. 0 keeps the random seed drawn when the library started."""
        self.random_seed = _checked_setting("set_random_seed", random_seed, int)

    def set_threads(self, threads: int) -> None:
        """Set the number of threads for large graphs on the CPU. 0 means one for each core, but at most 8.

        The number of threads does not change the results.
        """
        count = _checked_setting("set_threads", threads, int)
        if count > MOST_THREADS:
            raise ArgumentError(f"set_threads: expected a number of at most {MOST_THREADS}, got {count}")
        self.threads = count

    def set_requested_gpus(self, requested_gpus: int) -> None:
        """Set the number of GPUs to use, 0 or 1. A process can use at most one GPU."""
        self.requested_gpus = _checked_setting("set_requested_gpus", requested_gpus, int)

    def set_gpu_mask(self, gpu_mask: Sequence[int]) -> None:
        """Set which GPU to use.

        Args:
            gpu_mask: a list with a flag for each GPU in order: 1 for the GPU to use, 0 for the others. If no flag is 1,
                the mask has no effect, and the other settings decide.
        """
        flags = checked_list("set_gpu_mask", gpu_mask, "0 and 1")
        indices = [index for index, flag in enumerate(flags) if checked_flag("set_gpu_mask", "a flag", flag)]
        self.gpu_ids = ",".join(map(str, indices))

    def set_tf32(self, tf32: bool) -> None:
        """Set whether matrix products on a GPU may use tensor cores, which round the inputs to TF32 (19 bits)."""
        self.tf32 = bool(tf32)

    def set_bf16(self, bf16: bool | Literal["emulate"]) -> None:
        """Set whether matrix products round their factors to bfloat16 (8 bits of precision). Sums stay float32.

        True uses instructions of the CPU or the GPU; "emulate" computes the same on any CPU, but slowly.
        """
        if bf16 not in (True, False, "emulate"):
            raise ArgumentError(f"set_bf16: expected True, False or 'emulate', got {bf16!r:.40}")
        self.bf16 = "emulate" if bf16 == "emulate" else bool(bf16)

    def set_shared_parameters(self, shared_parameters: bool) -> None:
        """Set whether new parameters are in memory shared with processes forked later, to train one model together."""
        self.shared_parameters = bool(shared_parameters)

    def set_weight_decay(self, weight_decay: Number) -> None:
        """Set the weight decay of new models: each update also multiplies the parameters by `1 - weight_decay`.

        Frozen parameters do not change.
        """
        decay = _checked_setting("set_weight_decay", weight_decay, float)
        if decay >= 1:
            raise ArgumentError(f"set_weight_decay: expected a number less than 1, got {decay}")
        self.weight_decay = decay

    def set_autobatch(self, autobatch: bool) -> None:
        """Store the flag `autobatch`. It has no effect, because automatic batching is always on."""
        self.autobatch = _checked_setting("set_autobatch", autobatch, int)

    def set_profiling(self, profiling: int) -> None:
        """Set whether `init` starts to profile the program (see `profile`). 0 means no, any other number yes."""
        self.profiling = _checked_setting("set_profiling", profiling, int)

    def set_allow(self, allow: Allow) -> None:
        """Set which of the user's classes and functions `load` may use to make objects.

        Names in the environment variable DYNET_ALLOW are always allowed.
        """
        self.allow = {**_allowed_by_environment(), **allowed_by_name(allow)}

    def set_own_classes(self, own_classes: bool) -> None:
        """Set whether `load` may also make objects of the program's own classes that are not in `allow`; see `load`."""
        self.own_classes = checked_flag("set_own_classes", "own_classes", own_classes)

    def set_cpu_mode(self) -> None:
        """Choose the CPU: reset all settings that ask for a GPU."""
        self.gpu, self.requested_gpus, self.devices, self.gpu_ids = False, 0, "", ""

    def from_config(self, conf: Any) -> None:
        """Read settings from a dict such as `dynet_config.get()` returns, or from the attributes of an object.

        The keys or attributes are `mem`, `seed`, `autobatch`, `profiling`, `weight_decay`, `shared_params`,
        `requested_gpus` and, optionally, `gpu_mask`.

        Raises:
            ArgumentError: a setting is missing, or a value is not allowed. In both cases, no setting is changed.
        """
        settings = conf
        if not isinstance(conf, Mapping):
            settings = {name: getattr(conf, name) for name in CONFIG_ATTRIBUTES if hasattr(conf, name)}
            if not settings:
                raise ArgumentTypeError(f"from_config: expected a dict of settings, got {conf!r:.60}")
        if missing := [name for name in CONFIG_ATTRIBUTES if name not in settings and name != "gpu_mask"]:
            raise ArgumentError(f"from_config: {type(conf).__name__} has no {missing[0]}")
        self.change({CONFIG_ATTRIBUTES[name]: settings[name] for name in CONFIG_ATTRIBUTES if name in settings})


CONFIG_ATTRIBUTES = {
    "mem": "mem", "seed": "random_seed", "autobatch": "autobatch", "profiling": "profiling",
    "weight_decay": "weight_decay", "shared_params": "shared_parameters", "requested_gpus": "requested_gpus",
    "gpu_mask": "gpu_mask",
}  # fmt: skip
"""The settings that `from_config` reads: key or attribute of its argument -> attribute of DynetParams."""


def _split_at_commas(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _allowed_by_environment() -> dict[str, Any]:
    text = os.environ.get("DYNET_ALLOW", "")
    try:
        return allowed_by_name(_split_at_commas(text))
    except ArgumentTypeError:
        raise ArgumentError(f"DYNET_ALLOW takes names such as module.Class,module.Other, got {text!r}") from None


def _checked_setting(setter: str, value: Any, kind: type[T]) -> T:
    if kind is int and not isinstance(value, str):
        value = whole(setter, "the setting", value)
    try:
        number = kind(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{setter}: expected {kind.__name__}, got {value!r:.40}") from None
    if number < 0 or not math.isfinite(number):
        raise ArgumentError(f"{setter}: expected a number of at least 0, got {number}")
    return number


PARAMS = DynetParams()
"""The settings of this process."""
settings_applied = False
"""Whether `init` or `init_from_params` has applied the settings. Most changes made after that have no effect."""


def init(shared_parameters: bool | None = None) -> None:
    """Read settings from the command line and apply them. `import dynet` does this.

    `shared_parameters`, if not None, replaces the setting of this name; see `DynetParams.set_shared_parameters`.
    """
    PARAMS.from_args(shared_parameters)
    init_from_params(PARAMS)


def init_from_params(params: DynetParams) -> None:
    """Make `params` the settings of this process, and apply them."""
    global PARAMS, settings_applied
    PARAMS = params
    params.init()
    settings_applied = True
