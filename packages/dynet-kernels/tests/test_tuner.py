"""The tuner: which candidates it chooses and refuses, and its command."""

import functools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dynet_kernels
from dynet_kernels import tuning, tuning_records
from dynet_kernels.cuda import compiler, driver
from dynet_kernels.target import CpuTarget, host_cpu
from dynet_kernels.tune import __main__ as command
from dynet_kernels.tune import search, shapes, timing
from dynet_kernels.tuning_records import TuningRecord

DEFAULT = tuning.UpdateTuning()
TINY = replace(shapes.STUDIES["update"], workloads=lambda: [shapes.update(2, 100)])


def on_cpu(timer=timing.CpuTimer):
    cpu = host_cpu()
    return timer(cpu, tuning.defaults(cpu.lanes))


def faster_by_the_number(monkeypatch, numbers, largest=1.0):
    """Replace timing by a table: how long candidates take, by the number of vectors that they work on."""

    def time_ratio(candidate, best, workloads, rounds=7):
        share = numbers[candidate.parameters.vectors] / numbers[best.parameters.vectors]
        return share, 1.0 if rounds < 15 else largest

    monkeypatch.setattr(timing, "time_ratio", time_ratio)


def test_the_fastest_candidate_is_chosen(monkeypatch):
    faster_by_the_number(monkeypatch, {1: 1.5, 2: 1.0, 3: 0.8, 4: 0.9})
    hunt = search.Search("update", on_cpu(), DEFAULT, TINY)
    said = []
    assert hunt.run(1000, said.append) == (tuning.UpdateTuning(3), True)
    assert (hunt.try_count, hunt.refused_count, hunt.candidate_count(), len(said)) == (3, 0, 3, 3)


def test_what_is_slower_for_one_shape_is_not_chosen(monkeypatch):
    faster_by_the_number(monkeypatch, {1: 0.5, 2: 1.0, 3: 0.5, 4: 0.5}, largest=1.2)
    assert search.Search("update", on_cpu(), DEFAULT, TINY).run(1000) == (DEFAULT, True)


class WrongTimer(timing.CpuTimer):
    """Compiles candidates that compute one value wrongly, unless their parameters are the defaults."""

    def compiled(self, kernels, family, values):
        candidate = super().compiled(kernels, family, values)
        if values == self.default_parameters(family):
            return candidate
        right = candidate.measure

        def measure(workload, rows=1):
            seconds = right(workload, rows)
            workload.arrays[4][1, 99] += 0.01
            return seconds

        candidate.measure = measure
        return candidate


def test_what_computes_wrongly_is_refused_however_fast(monkeypatch):
    faster_by_the_number(monkeypatch, {1: 0.1, 2: 1.0, 3: 0.1, 4: 0.1})
    hunt = search.Search("update", on_cpu(WrongTimer), DEFAULT, TINY)
    assert hunt.run(1000) == (DEFAULT, True)
    assert (hunt.try_count, hunt.refused_count) == (3, 3)


def test_a_kernel_may_write_its_results_only():
    candidate = on_cpu().compiled(TINY.kernels, "update", DEFAULT)
    (workload,) = TINY.workloads()
    assert candidate.is_right(workload)
    del workload.expected[0]
    assert not candidate.is_right(workload)


def test_nothing_is_tuned_if_the_defaults_are_wrong():
    with pytest.raises(search.WrongResult, match="update: kernels compute something wrong for 2x100"):
        search.Search("update", on_cpu(WrongTimer), tuning.UpdateTuning(4), TINY).run(1000)


def test_the_search_ends_when_its_time_is_up():
    hunt = search.Search("update", on_cpu(), DEFAULT, TINY)
    assert hunt.run(0) == (DEFAULT, False)
    assert hunt.try_count == 0


@functools.cache
def workloads_of(family):
    return shapes.STUDIES[family].workloads()


@pytest.mark.parametrize("kind", ["avx512", "avx2", "neon"])
@pytest.mark.parametrize("family", tuning.CPU_FAMILIES)
def test_there_is_something_to_search(family, kind):
    lanes, registers = tuning_records.KINDS[kind]
    target = CpuTarget("aarch64-linux" if kind == "neon" else "x86_64-linux", "", lanes)
    timer = timing.CpuTimer(target, tuning.defaults(lanes))
    assert timer.register_count == registers
    check_axes(family, timer)


def check_axes(family, timer):
    first = timer.default_parameters(family)
    for axis in search.AXES[family]:
        variants = list(axis.variants(first, timer.register_count))
        assert variants and first not in variants and len(set(variants)) == len(variants), axis.name
        assert any(axis.affects(workload) for workload in workloads_of(family)), axis.name


def no_gpu(number=0):
    raise driver.NoDriverError("the NVIDIA driver is missing")


def no_compiler():
    raise compiler.NoCompilerError


@pytest.mark.parametrize("missing, complaint", [("driver", "NVIDIA driver is missing"), ("compiler", "neither nvcc")])
def test_kernels_for_gpus_are_tuned_only_if_there_are_a_gpu_and_a_compiler(missing, complaint, monkeypatch):
    monkeypatch.setattr(compiler, "compiler_name", (lambda: "nvcc") if missing == "driver" else no_compiler)
    monkeypatch.setattr(command, "Gpu", no_gpu if missing == "driver" else lambda number: "a GPU")
    assert command.find_gpu(command.parsed_arguments([])) is None
    with pytest.raises(SystemExit, match=f"cannot tune kernels for a GPU: .*{complaint}"):
        command.find_gpu(command.parsed_arguments(["--families", "product", "cuda"]))


def test_other_families_need_no_gpu(monkeypatch):
    monkeypatch.setattr(compiler, "compiler_name", no_compiler)
    assert command.find_gpu(command.parsed_arguments(["--families", "product"])) is None


@pytest.fixture
def quick(own_records, monkeypatch):
    """The command with a small search, which leaves this process on all its cores."""
    monkeypatch.setitem(search.STUDIES, "update", TINY)
    monkeypatch.setattr(command, "pin_to_core", lambda core: None)
    return own_records


@pytest.mark.parametrize("bar", [True, False])
def test_the_command_writes_what_it_finds(bar, quick, monkeypatch, capsys):
    if bar:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    command.main(["--families", "update", "--seconds", "100", "--dry-run"])
    assert not tuning_records.user_file().exists()
    command.main(["--families", "update", "--seconds", "100"])
    (record,) = tuning_records.read(tuning_records.user_file())
    assert (record.family, record.cpu, list(record.figure)) == ("update", host_cpu().identity, ["2x100"])
    assert record.versions["apache-tvm"] and record.date and "not measured" not in record.measured
    assert tuning_records.for_cpu(host_cpu()).update == record.parameters
    assert f"written to {tuning_records.user_file()}" in capsys.readouterr().out


def test_the_command_keeps_other_records_in_a_file(quick, tmp_path):
    path, neon = tmp_path / "some.json", TuningRecord("update", "neon", tuning.UpdateTuning(4), "")
    tuning_records.write(
        path, [neon, TuningRecord("update", tuning_records.kind_of(host_cpu()), tuning.UpdateTuning(8))]
    )
    command.main(["--families", "update", "--seconds", "100", "--for-kind", "--output", str(path)])
    first, second = tuning_records.read(path)
    assert first == neon
    assert second.cpu == "" and second.figure


@pytest.mark.parametrize(
    "given, complaint",
    [
        (["--families", "products"], "invalid choice: 'products'"),
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["--seconds", "nan"], "--seconds must be more than 0"),
        (["--output", "missing/some.json"], "missing is not a directory"),
    ],
)
def test_the_command_refuses_nonsense(given, complaint, capsys):
    with pytest.raises(SystemExit):
        command.main(given)
    assert complaint in capsys.readouterr().err


ROUND = """
import numpy as np
from dynet_kernels.machine import library
from dynet_kernels import tuning, tuning_records
from dynet_kernels.table import KERNELS
from dynet_kernels.target import host_cpu
assert tuning_records.for_cpu(host_cpu()) == tuning.defaults(host_cpu().lanes)
machine = library.Library(KERNELS)
print(sorted(machine._loaded))
"""


def test_the_machine_runs_without_records(tmp_path):
    search_path = os.pathsep.join([str(Path(dynet_kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path, "DYNET_CACHE_DIR": str(tmp_path), "DYNET_RECORDS": "off"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ROUND], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0]\n"


def test_workloads_begin_where_a_cache_line_does():
    for workload in TINY.workloads():
        assert all(array.ctypes.data % 64 == 0 for array in workload.arrays)
        assert np.shape(workload.index) == (len(workload.arrays) * workload.columns,)
