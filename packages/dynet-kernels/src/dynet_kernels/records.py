"""Records of tuning: JSON files that say which parameters are best on which kind of machine. Needs no TVM.

The directory `shipped_records` holds those that come with the package, one file for a kind of machine. What
`python -m dynet_kernels.tune` finds goes to this user's cache directory, and wins on the CPU that it was found on.
On a machine without a record the nearest one is taken. A file that cannot be read is passed over with a warning: it
can make kernels slow, not wrong. DYNET_RECORDS=off leaves all records aside; a directory's name stands for its files
alone.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import stat
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from . import cache, tuning
from .target import CpuTarget, host_cpu

SHIPPED = Path(__file__).parent / "shipped_records"
TUNED = "tuned.json"  # in the cache directory
LARGEST = 1 << 20  # bytes of a file of records
# Kinds of CPU: lanes of float32 in a register, and registers.
KINDS = {"avx512": (16, 32), "avx2": (8, 16), "sse": (4, 16), "neon": (4, 32)}


@dataclass(frozen=True)
class Record:
    """The best parameters of one family that were found on one kind of machine.

    Args:
        family: a name of `tuning.FAMILIES`.
        target: the kind of machine: `avx512`, `avx2`, `sse`, `neon`, or `sm_` and the capability of a GPU.
        parameters: of the family.
        cpu: the one CPU for which they were found, as `CpuTarget.identity` has it; empty for any of the kind.
        figure: how many times as fast as by default each shape was, or nothing.
        measured: how the figures came about, or `not measured`.
        versions: of what compiled the kernels.
        date: year, month and day.
    """

    family: str
    target: str
    parameters: tuning.Family
    cpu: str = ""
    figure: dict[str, float] = field(default_factory=dict)
    measured: str = "not measured"
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""

    def __post_init__(self):
        if type(self.parameters) is not tuning.FAMILIES.get(self.family):
            raise ValueError(f"{self.parameters!r} are not parameters of the family {self.family!r}")
        if (self.family == "cuda") != bool(re.fullmatch(r"sm_\d{2,3}", self.target)) or (
            self.family != "cuda" and self.target not in KINDS
        ):
            raise ValueError(f"{self.target!r} is not a target of the family {self.family!r}")
        for name in ("cpu", "measured", "date"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is {getattr(self, name)!r}, not a text")
        for name, kinds in (("figure", (int, float)), ("versions", str)):
            values = getattr(self, name)
            if not isinstance(values, dict) or not all(isinstance(value, kinds) for value in values.values()):
                raise ValueError(f"{name} is {values!r}, not an object of {'texts' if kinds is str else 'numbers'}")


def kind_of(target: CpuTarget) -> str:
    """The kind of a CPU, as records name it."""
    if target.machine.startswith(("aarch64", "arm")):
        return "neon"
    return next(kind for kind, (lanes, _) in KINDS.items() if lanes == target.lanes)


def read(path: Path) -> list[Record]:
    """The records of one file.

    Raises:
        ValueError: the file, or one of its records, is not what it should be.
        OSError: it cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise ValueError("it is no regular file")
    if status.st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, list):
        raise ValueError("it does not hold a list of records")
    return [_record(number, entry) for number, entry in enumerate(content)]


def _record(number: int, entry: object) -> Record:
    known = {f.name for f in fields(Record)}
    if not isinstance(entry, dict) or not {"family", "target", "parameters"} <= set(entry) <= known:
        raise ValueError(f"record {number} does not have the entries of a record: {', '.join(sorted(known))}")
    try:
        if not isinstance(entry["family"], str) or not isinstance(entry["target"], str):
            raise ValueError("family and target must be texts")
        return Record(**{**entry, "parameters": tuning.from_json(entry["family"], entry["parameters"])})
    except ValueError as problem:
        raise ValueError(f"record {number}: {problem}") from None


def write(path: Path, records: Iterable[Record]) -> None:
    """Write a whole file of records or nothing."""
    entries = [{**asdict(record), "parameters": tuning.to_json(record.parameters)} for record in records]
    lines = ",\n".join(_flat(entry) for entry in entries)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        unfinished.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()
    _for_cpu.cache_clear()
    _for_cuda.cache_clear()


def _flat(entry: dict) -> str:
    """One record, an entry a line."""
    return " {\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in entry.items()) + "\n }"


def merged(old: Iterable[Record], new: Iterable[Record]) -> list[Record]:
    """All records, of which the new ones take the place of old ones for the same family and machine."""
    found = {(record.target, record.cpu, record.family): record for record in (*old, *new)}
    return list(found.values())


def user_file() -> Path:
    """Where this user's own records are."""
    return cache.cache_directory() / TUNED


def _readable(path: Path) -> list[Record]:
    """The records of a file; none, and a warning, if it is malformed."""
    try:
        return read(path)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as problem:
        warnings.warn(
            f"dynet: the tuning records in {path} are not used ({problem}); kernels may be slower.",
            RuntimeWarning,
            stacklevel=2,
        )
        return []


def known(setting: str) -> list[list[Record]]:
    """Lists of records, those that win first, by what DYNET_RECORDS says."""
    if setting == "off":
        return []
    places = [Path(setting)] if setting else [user_file(), SHIPPED]
    if setting and not places[0].is_dir():
        raise ValueError(f"DYNET_RECORDS is {setting!r}: use off, the name of a directory, or leave it unset.")
    found = []
    for place in places:
        paths = sorted(place.glob("*.json")) if place.is_dir() else [place]
        found.append([record for path in paths for record in _readable(path)])
    return found


def nearest(family: str, target: CpuTarget | str, lists: Iterable[Iterable[Record]]) -> Record | None:
    """The record for a machine: its own, else the one of the nearest kind; of records as near, the first.

    Args:
        target: a CPU, or the capability of a GPU (`sm_90`).
        lists: lists of records, those that win first.
    """
    candidates = [record for records in lists for record in records if record.family == family]
    of_own = [record for record in candidates if isinstance(target, CpuTarget) and record.cpu == target.identity]
    if of_own:
        return of_own[0]
    candidates = [record for record in candidates if not record.cpu or isinstance(target, str)]
    return min(candidates, key=lambda record: _distance(record.target, target), default=None)


def _distance(kind: str, target: CpuTarget | str) -> tuple[float, ...]:
    """How far a record's kind is from a machine's.

    For CPUs, the number of registers decides; if it is as near, the number of lanes. For GPUs, the capability does; of
    two that are as near, the lower one counts as nearer.
    """
    if isinstance(target, str):
        mine, other = int(target.removeprefix("sm_")), int(kind.removeprefix("sm_"))
        return (abs(mine - other), other)
    lanes, registers = KINDS[kind]
    own_lanes, own_registers = KINDS[kind_of(target)]
    return (abs(math.log2(registers / own_registers)), abs(math.log2(lanes / own_lanes)))


def for_cpu(target: CpuTarget) -> tuning.Cpu:
    """The parameters for a CPU: of its records, or by default.

    Raises:
        ValueError: DYNET_RECORDS is neither `off` nor a directory.
    """
    return _for_cpu(target, os.environ.get("DYNET_RECORDS", ""))


@functools.lru_cache(maxsize=16)
def _for_cpu(target: CpuTarget, setting: str) -> tuning.Cpu:
    lists = known(setting)
    parameters = tuning.defaults(target.lanes)
    for family in tuning.CPU_FAMILIES:
        record = nearest(family, target, lists)
        if record:
            parameters = tuning.with_family(parameters, family, record.parameters)
    return parameters


def for_cuda(capability: str) -> tuning.Cuda:
    """The parameters for a GPU of a capability such as `sm_90`."""
    return _for_cuda(capability, os.environ.get("DYNET_RECORDS", ""))


@functools.lru_cache(maxsize=16)
def _for_cuda(capability: str, setting: str) -> tuning.Cuda:
    record = nearest("cuda", capability, known(setting))
    return record.parameters if record else tuning.Cuda()  # type: ignore[return-value]


def are_tuned_for(target: CpuTarget) -> bool:
    """Return whether there are records that were found on exactly this CPU."""
    lists = known(os.environ.get("DYNET_RECORDS", ""))
    return any(record.cpu == target.identity for records in lists for record in records)


def for_host() -> tuning.Cpu:
    """The parameters for this machine's CPU."""
    return for_cpu(host_cpu())
