"""Settings that concern the whole process, from the command line or set by a program."""

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
from typing import Any, TypeVar

from dynet_kernels import sharing
from dynet_kernels.layout import MOST_THREADS

from . import device
from .annotations import Number
from .checks import checked_flag, whole
from .errors import ArgumentError, ArgumentTypeError
from .files.names import Allow, allowed
from .profiling import profile_program
from .seeds import reset_random_seed

T = TypeVar("T", int, float)


def _whole(text: str) -> int:
    return int(text, 10)


def _threads(text: str) -> int:
    number = _whole(text)
    if not 1 <= number <= MOST_THREADS:
        raise ValueError
    return number


def _decay(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1:
        raise ValueError
    return number


def _memory(text: str) -> int:
    """Megabytes, or several numbers of them for forward, backward, parameters and scratch; only checked."""
    return sum(_whole(part) for part in text.split(","))


FLAGS: dict[str, tuple[str, Callable[[str], Any] | None, str]] = {
    "mem": ("mem", _memory, "a number of megabytes, or several separated by commas"),
    "seed": ("random_seed", _whole, "a whole number"),
    "weight-decay": ("weight_decay", _decay, "a number of at least 0, less than 1"),
    "autobatch": ("autobatch", _whole, "0 or 1"),
    "autobatch-strategy": ("autobatch", _whole, "a whole number"),
    "profiling": ("profiling", _whole, "a whole number"),
    "threads": ("threads", _threads, f"a whole number from 1 to {MOST_THREADS}"),
    "gpus": ("requested_gpus", _whole, "a whole number"),
    "gpu-ids": ("gpu_ids", str, "numbers separated by commas"),
    "devices": ("devices", str, "devices separated by commas, such as CPU or GPU:0"),
    "gpu": ("gpu", None, ""),
    "tf32": ("tf32", None, ""),
    "viz": ("viz", None, ""),
    "shared-parameters": ("shared_parameters", None, ""),
}
"""What may follow `--dynet-`: the attribute it sets, how its value is read (None: it has none), and what that is."""


class DynetParams:
    """The settings of the process, to be changed before `init`.

    >>> params = DynetParams()
    >>> params.set_random_seed(42)
    >>> params.init()
    """

    def __init__(self) -> None:
        self.mem: int = 512
        self.random_seed: int = 0
        self.weight_decay: float = 0.0
        self.autobatch: int = 0
        self.profiling: int = 0
        self.threads: int = 0
        self.requested_gpus: int = 0
        self.gpu: bool = False
        self.tf32: bool = False
        self.viz: bool = False
        self.shared_parameters: bool = False
        self.gpu_ids: str = ""
        self.devices: str = ""
        self.lstm_builder: str = os.environ.get("DYNET_LSTM_BUILDER", "")  # LSTMBuilder means: coupled or vanilla
        self.allow: dict[str, Any] = _allowed_by_environment()  # classes that files may hold objects of, by their names

    def from_args(self, shared_parameters: bool | None = None) -> None:
        """Take settings from the command line, which stays as it is."""
        self.read(sys.argv[1:])
        if shared_parameters is not None:
            self.shared_parameters = bool(shared_parameters)

    def read(self, arguments: Sequence[str]) -> None:
        """Take settings from a list of arguments; what does not begin with `--dynet` is somebody else's.

        Raises:
            ArgumentError: a value that is missing or malformed. An unknown flag is only warned about.
        """
        rest = iter(arguments)
        for argument in rest:
            if not argument.startswith(("--dynet-", "--dynet_")):
                continue
            flag, has_value, value = argument[len("--dynet-") :].partition("=")
            flag = flag.replace("_", "-")
            if flag not in FLAGS:
                nearest = difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0.0)[0]
                warnings.warn(f"there is no --dynet-{flag}; did you mean --dynet-{nearest}?", stacklevel=3)
                continue
            attribute, read, expected = FLAGS[flag]
            if read is None:
                setattr(self, attribute, True)
                continue
            text = value if has_value else next(rest, None)
            try:
                setattr(self, attribute, read(text if text is not None else ""))
            except ValueError:
                raise ArgumentError(f"--dynet-{flag} takes {expected}, got {text!r}") from None

    def init(self) -> None:
        """Put the settings into force.

        Raises:
            DeviceError: a GPU is asked for and cannot be used; the message names what is missing.
        """
        number = self._wanted_gpu()
        if number is not None:
            if self.shared_parameters:
                raise ArgumentError("processes share parameters on the CPU only, and a GPU was asked for")
            device.choose(number)
            if self.tf32:
                device.allow_tf32()
        if self.threads:  # 0 leaves it at what this process may use
            sharing.use(self.threads)
        if self.random_seed:  # 0 asks for a random seed
            reset_random_seed(min(max(self.random_seed, -1) % 2**64, 2**32 - 1))
        if self.profiling:
            profile_program()

    def _wanted_gpu(self) -> int | None:
        """The number of the GPU that is asked for, if one is."""
        names = [part.strip().upper() for part in self.devices.split(",") if part.strip()]
        wrong = [part for part in names if not re.fullmatch(r"CPU|GPU:\d+", part)]
        if wrong:
            raise ArgumentError(f"--dynet-devices takes {FLAGS['devices'][2]}, got {wrong[0]!r}")
        numbers = [int(part[4:]) for part in names if part != "CPU"]
        try:
            ids = [int(part) for part in self.gpu_ids.split(",") if part.strip()]
        except ValueError:
            raise ArgumentError(f"--dynet-gpu-ids takes {FLAGS['gpu-ids'][2]}, got {self.gpu_ids!r}") from None
        if not numbers and (self.gpu or self.requested_gpus or ids):
            numbers = ids or [0]
        if max(len(numbers), self.requested_gpus) > 1:
            raise ArgumentError(f"{max(len(numbers), self.requested_gpus)} GPUs were asked for; a process uses one")
        return numbers[0] if numbers else None

    def change(self, settings: Mapping[str, Any]) -> None:
        """Change settings, given by the names of their attributes: all of them or, where one is refused, none."""
        fresh = copy.copy(self)
        for name, value in settings.items():
            getattr(fresh, f"set_{name}", functools.partial(setattr, fresh, name))(value)
        vars(self).update(vars(fresh))

    def set_mem(self, mem: int | str) -> None:
        """Accepted, and not needed: memory grows with the graph. A text is as for `--dynet-mem`: "512" or "1,2,3,4"."""
        if not isinstance(mem, str):
            self.mem = _checked("set_mem", mem, int)
            return
        try:
            self.mem = _memory(mem)
        except ValueError:
            raise ArgumentError(f"set_mem: expected {FLAGS['mem'][2]}, got {mem!r:.40}") from None

    def set_random_seed(self, random_seed: int) -> None:
        """Set the seed of initial values, dropout and noise."""
        self.random_seed = _checked("set_random_seed", random_seed, int)

    def set_threads(self, threads: int) -> None:
        """Set how many threads share the work of large graphs on the CPU: 0 is one for each core of this process.

        Results are the same for any number.
        """
        found = _checked("set_threads", threads, int)
        if found > MOST_THREADS:
            raise ArgumentError(f"set_threads: expected a number of at most {MOST_THREADS}, got {found}")
        self.threads = found

    def set_requested_gpus(self, requested_gpus: int) -> None:
        """Set how many GPUs are wanted: 0 is the CPU, and 1 the most a process uses."""
        self.requested_gpus = _checked("set_requested_gpus", requested_gpus, int)

    def set_gpu_mask(self, gpu_mask: Sequence[int]) -> None:
        """Ask for GPUs: for each there is, in order, 1 if it is wanted, or 0. None is wanted with an empty list."""
        try:
            wanted = [number for number, flag in enumerate(gpu_mask) if checked_flag("set_gpu_mask", "a flag", flag)]
        except TypeError:
            raise ArgumentTypeError(f"set_gpu_mask: expected a list of 0 and 1, got {gpu_mask!r:.40}") from None
        self.gpu_ids = ",".join(map(str, wanted))

    def set_tf32(self, tf32: bool) -> None:
        """Say whether products on a GPU may round their factors to TF32, for tensor cores; a CPU never does."""
        self.tf32 = bool(tf32)

    def set_shared_parameters(self, shared_parameters: bool) -> None:
        """Say whether forked processes train the same parameters."""
        self.shared_parameters = bool(shared_parameters)

    def set_weight_decay(self, weight_decay: Number) -> None:
        """Set the part by which each update shrinks all parameters that it may change."""
        decay = _checked("set_weight_decay", weight_decay, float)
        if decay >= 1:
            raise ArgumentError(f"set_weight_decay: expected a number less than 1, got {decay}")
        self.weight_decay = decay

    def set_autobatch(self, autobatch: bool) -> None:
        """Accepted, and changes nothing: batching is always on."""
        self.autobatch = _checked("set_autobatch", autobatch, int)

    def set_profiling(self, profiling: int) -> None:
        """Set whether the program is profiled, as by `--dynet-profiling`: not with 0. See `profile`."""
        self.profiling = _checked("set_profiling", profiling, int)

    def set_allow(self, allow: Allow) -> None:
        """Allow files to hold objects of these classes, besides those that DYNET_ALLOW names. See `load`."""
        self.allow = {**_allowed_by_environment(), **allowed(allow)}

    def set_cpu_mode(self) -> None:
        """Compute on the CPU, whatever was asked for before."""
        self.gpu, self.requested_gpus, self.devices, self.gpu_ids = False, 0, "", ""

    def from_config(self, conf: Any) -> None:
        """Take settings from a dict like that of `dynet_config.get()`, with `mem`, `seed`, `autobatch`, `profiling`,
        `weight_decay`, `shared_params`, `requested_gpus` and, if it likes, `gpu_mask`; or from an object's attributes.

        Raises:
            ArgumentError: one is missing or out of its range. Nothing has changed.
        """
        given = conf
        if not isinstance(conf, Mapping):
            given = {name: getattr(conf, name) for name in CONFIG if hasattr(conf, name)}
            if not given:
                raise ArgumentTypeError(f"from_config: expected a dict of settings, got {conf!r:.60}")
        missing = [name for name in CONFIG if name not in given and name != "gpu_mask"]
        if missing:
            raise ArgumentError(f"from_config: {type(conf).__name__} has no {missing[0]}")
        self.change({CONFIG[name]: given[name] for name in CONFIG if name in given})


CONFIG = {
    "mem": "mem", "seed": "random_seed", "autobatch": "autobatch", "profiling": "profiling",
    "weight_decay": "weight_decay", "shared_params": "shared_parameters", "requested_gpus": "requested_gpus",
    "gpu_mask": "gpu_mask",
}  # fmt: skip
"""The settings that `from_config` takes, by what it calls them."""


def _allowed_by_environment() -> dict[str, Any]:
    text = os.environ.get("DYNET_ALLOW", "")
    try:
        return allowed([name.strip() for name in text.split(",") if name.strip()])
    except ArgumentTypeError:
        raise ArgumentError(
            f"DYNET_ALLOW takes names such as module.Class, with commas between, got {text!r}"
        ) from None


def _checked(name: str, value: Any, kind: type[T]) -> T:
    if kind is int and not isinstance(value, str):
        value = whole(name, "the setting", value)
    try:
        found = kind(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: expected {kind.__name__}, got {value!r:.40}") from None
    if found < 0 or not math.isfinite(found):
        raise ArgumentError(f"{name}: expected a number of at least 0, got {found}")
    return found


PARAMS = DynetParams()
"""The settings in force."""
in_force = False
"""Whether `init` has put them into force: what a program sets from then on comes too late."""


def init(shared_parameters: bool | None = None) -> None:
    """Take settings from the command line and put them into force, as `import dynet` does."""
    global in_force
    PARAMS.from_args(shared_parameters)
    PARAMS.init()
    in_force = True


def init_from_params(params: DynetParams) -> None:
    """Put settings into force: `params.init()`."""
    global PARAMS, in_force
    PARAMS = params
    params.init()
    in_force = True
