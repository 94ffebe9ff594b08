"""Tuning records: JSON files with the kernel parameters that are fastest on a kind of machine. Needs no TVM.

The directory `shipped_records` has this package's records. `python -m dynet_kernels.tune` writes the user's records to
the cache directory. On the CPU that was measured, these take precedence. A machine without records uses the records of
the most similar kind. A file that cannot be read is skipped with a warning: without it, kernels may be slower, but not
wrong. DYNET_RECORDS=off ignores all records; if this variable names a directory, only the records there are used.
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
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from . import tuning
from .cache import seal, shipped_code, store
from .target import CpuTarget

SHIPPED_RECORDS = shipped_code.PACKAGE / "shipped_records"
USER_FILE_NAME = "tuned.json"  # the name of the file of the user's own records in the cache directory
MOST_FILE_BYTES = 1 << 20  # files with more bytes than this are refused
# Kind of CPU -> (the number of float32s in a vector register, the number of vector registers).
KINDS = {"avx512": (16, 32), "avx2": (8, 16), "sse": (4, 16), "neon": (4, 32)}


@dataclass(frozen=True)
class TuningRecord:
    """The best parameters that were found for one family of kernels on one kind of machine.

    Args:
        family: a key of `tuning.FAMILIES`.
        target: the kind of CPU (`avx512`, `avx2`, `sse` or `neon`), or a GPU's compute capability, such as `sm_90`.
        parameters: the best parameters of the family.
        cpu: `CpuTarget.identity` of the only CPU that the record is for. Empty: the record is for all CPUs of the kind.
        figure: label of a timed workload -> speedup over the default parameters. It may be empty.
        measured: how the speeds were measured, or `not measured`.
        versions: package -> version, for the packages that compiled the kernels.
        date: the day of the measurement, such as `2025-01-31`.
    """

    family: str
    target: str
    parameters: tuning.Parameters
    cpu: str = ""
    figure: dict[str, float] = field(default_factory=dict)
    measured: str = "not measured"
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""

    def __post_init__(self):
        for name in ("target", "cpu", "measured", "date"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is {getattr(self, name)!r}, not a text")
        if type(self.parameters) is not tuning.FAMILIES.get(self.family):
            raise ValueError(f"{self.parameters!r} are not parameters of the family {self.family!r}")
        if not (re.fullmatch(r"sm_\d{2,3}", self.target) if self.family == "cuda" else self.target in KINDS):
            raise ValueError(f"{self.target!r} is not a target of the family {self.family!r}")
        for name, kinds in (("figure", (int, float)), ("versions", str)):
            values = getattr(self, name)
            if not isinstance(values, dict) or not all(isinstance(value, kinds) for value in values.values()):
                raise ValueError(f"{name} is {values!r}, not an object of {'texts' if kinds is str else 'numbers'}")


def kind_of(target: CpuTarget | str) -> str:
    """Return the kind of a machine, as in records: a key of KINDS or, for a GPU, `target`, its compute capability."""
    if isinstance(target, str):
        return target
    if target.machine.startswith(("aarch64", "arm")):
        return "neon"
    return next(kind for kind, (lanes, _) in KINDS.items() if lanes == target.lanes)


def read(path: Path) -> list[TuningRecord]:
    """Read the records of a file. Raise a ValueError if the file is malformed, or an OSError if it cannot be read."""
    if isinstance(path, Path):  # not a file in an archive
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe could wait forever
            raise ValueError("it is not a regular file")
        if status.st_size > MOST_FILE_BYTES:
            raise ValueError(f"it is larger than {MOST_FILE_BYTES} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, list):
        raise ValueError("it does not hold a list of records")
    return [_checked_record(index, entry) for index, entry in enumerate(content)]


def _checked_record(index: int, entry: object) -> TuningRecord:
    names = {f.name for f in fields(TuningRecord)}
    if not isinstance(entry, dict) or not {"family", "target", "parameters"} <= set(entry) <= names:
        raise ValueError(f"record {index} does not have the entries of a record: {', '.join(sorted(names))}")
    try:
        return TuningRecord(**{**entry, "parameters": tuning.from_json(entry["family"], entry["parameters"])})
    except ValueError as problem:
        raise ValueError(f"record {index}: {problem}") from None


def write(path: Path, records: Iterable[TuningRecord]) -> None:
    """Write records to a file, atomically. Afterwards, `for_cpu` and `for_cuda` read the new records."""
    lines = ",\n".join(_record_text(asdict(record)) for record in records)
    seal.write(path, f"[\n{lines}\n]\n".encode())
    _find_records.cache_clear()


def _record_text(entry: dict) -> str:
    return " {\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in entry.items()) + "\n }"


def merged(old: Iterable[TuningRecord], new: Iterable[TuningRecord]) -> list[TuningRecord]:
    """Return all records, except old records with the same family, kind of machine and CPU as a new record."""
    return list({(record.target, record.cpu, record.family): record for record in (*old, *new)}.values())


def user_file() -> Path:
    return store.cache_directory() / USER_FILE_NAME


def _read_or_warn(path: Path) -> list[TuningRecord]:
    """Return a file's records, or an empty list if the file does not exist or (with a warning) cannot be read."""
    try:
        return read(path)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as problem:
        if getattr(problem, "errno", 0) is None or type(problem).__module__ not in ("builtins", "json.decoder"):
            raise  # a signal handler has raised this error, for example a TimeoutError
        message = f"dynet: the tuning records in {path} are not used ({problem}); kernels may be slower."
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return []


def records_by_file(setting: str) -> dict[str, list[TuningRecord]]:
    """Return a dict file -> records, in order of precedence: the user's file, then this package's.

    `setting` is the value of DYNET_RECORDS. If this value is invalid, raise a ValueError.
    """
    if setting == "off":
        return {}
    user_files = [user_file()] if shipped_code.should_look_in_cache() else []
    roots = [Path(setting)] if setting else [*user_files, SHIPPED_RECORDS]
    if setting and not roots[0].is_dir():
        raise ValueError(f"DYNET_RECORDS is {setting!r}: use off, the name of a directory, or leave it unset.")
    paths = [path for root in roots for path in (sorted(root.iterdir(), key=str) if root.is_dir() else [root])]
    return {str(path): _read_or_warn(path) for path in paths if path.name.endswith(".json")}


def nearest(family: str, target: CpuTarget | str, lists: Iterable[Iterable[TuningRecord]]) -> TuningRecord | None:
    """Return a family's record for exactly this CPU or else for the most similar kind, or None without any record.

    If several records fit equally well, return the first.

    Args:
        family: a key of `tuning.FAMILIES`.
        target: a CPU, or the compute capability of a GPU, such as `sm_90`.
        lists: lists of records, in order of precedence.
    """
    candidates = [record for records in lists for record in records if record.family == family]
    if isinstance(target, CpuTarget):
        candidates = [record for record in candidates if record.cpu in ("", target.identity)]
    return min(candidates, key=lambda record: _distance(record, target), default=None)


def _distance(record: TuningRecord, target: CpuTarget | str) -> tuple[float, ...]:
    """Return how much a record's kind of machine differs from `target`: the smaller the tuple, the less it differs.

    CPUs are compared by the number of vector registers, then by the floats per register. GPUs are compared by compute
    capability; of two records that differ equally, the one for the lower capability is preferred.
    """
    if isinstance(target, str):
        own, recorded = int(target.removeprefix("sm_")), int(record.target.removeprefix("sm_"))
        return abs(own - recorded), recorded
    if record.cpu == target.identity:
        return ()
    lanes, registers = KINDS[record.target]
    own_lanes, own_registers = KINDS[kind_of(target)]
    return abs(math.log2(registers / own_registers)), abs(math.log2(lanes / own_lanes))


def default_parameters(target: CpuTarget | str) -> dict[str, tuning.Parameters]:
    return {"cuda": tuning.Cuda()} if isinstance(target, str) else vars(tuning.defaults(target.lanes))


def records_in_use(target: CpuTarget | str) -> dict[str, tuple[str, TuningRecord]]:
    """Return a dict family -> (path of the record's file, record) of the records that `nearest` chooses for `target`.

    A family without a record gets a new record of the default parameters, with the path of `tuning.py`.
    """
    return _find_records(target, os.environ.get("DYNET_RECORDS", ""))


@functools.lru_cache(maxsize=16)
def _find_records(target: CpuTarget | str, setting: str) -> dict[str, tuple[str, TuningRecord]]:
    files, chosen = records_by_file(setting), {}
    for family, values in default_parameters(target).items():
        record = nearest(family, target, files.values()) or TuningRecord(family, kind_of(target), values)
        path = next((path for path, records in files.items() if record in records), tuning.__file__)
        chosen[family] = path, record
    return chosen


def for_cpu(target: CpuTarget) -> tuning.Cpu:
    """Return the kernel parameters for a CPU, from the records that `records_in_use` returns."""
    parameters: dict[str, Any] = {family: record.parameters for family, (_, record) in records_in_use(target).items()}
    return tuning.Cpu(**parameters)


def for_cuda(capability: str) -> tuning.Cuda:
    """Return the kernel parameters for a GPU with a compute capability, such as `sm_90`, from `records_in_use`."""
    return records_in_use(capability)["cuda"][1].parameters  # type: ignore[return-value]


def are_tuned_for(target: CpuTarget) -> bool:
    """Return whether the records in use include one for exactly the CPU `target`."""
    return any(record.cpu == target.identity for _, record in records_in_use(target).values())
