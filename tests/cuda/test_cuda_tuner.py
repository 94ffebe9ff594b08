"""The tuner on a GPU: it compiles candidates, checks them, times them with the GPU's clock, and keeps the fastest."""

from dataclasses import replace

import pytest

from dynet_kernels import tuning, tuning_records
from dynet_kernels.cuda.driver import Gpu
from dynet_kernels.tune import __main__ as command
from dynet_kernels.tune import search, shapes, timing
from dynet_kernels.tune.timing import GpuTimer

STUDY = shapes.STUDIES["cuda"]
DEFAULT = tuning.Cuda()


def small():
    """A workload for each kernel, small enough for an emulation."""
    rules = [shapes.rule(name, 3, size) for name in shapes.COLUMN_RULES for size in (5, 200)]
    products = [shapes.product(9, 7, 5), shapes.column_gradient(9, 7, 5), shapes.matrix_gradient(9, 7, 5)]
    workloads = [*rules, *products, shapes.norm(2, 300), shapes.update(2, 300)]
    for workload in workloads:
        workload.label = f"{workload.kernel} {workload.label.removeprefix(workload.kernel + ' ')}"
    return workloads


def only(*names):
    """A study of only these kernels."""
    kernels = {name: STUDY.kernels[name] for name in names}
    return replace(STUDY, kernels=kernels, workloads=lambda: [one for one in small() if one.kernel in names])


@pytest.fixture
def timer(emulated):
    return GpuTimer(Gpu())


def test_all_kernels_are_timed():
    assert {workload.kernel for workload in small()} == set(STUDY.kernels)
    assert set(STUDY.kernels) == {"product", "product.dx", "product.dW", *shapes.REDUCTIONS, *shapes.ELEMENTWISE}
    labels = [workload.label for workload in STUDY.workloads()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("values", [DEFAULT, tuning.Cuda(64, 128, 4), tuning.Cuda(512, 512, 16)])
def test_kernels_with_any_parameters_are_right(timer, values):
    candidate = timer.compiled(STUDY.kernels, "cuda", values)
    assert [workload.label for workload in small() if not candidate.is_right(workload)] == []


def test_time_grows_with_the_work(timer):
    candidate = timer.compiled(only("softmax").kernels, "cuda", DEFAULT)
    workload = shapes.rule("softmax", 3, 200)
    assert 0 < candidate.measure(workload) < candidate.measure(workload, 200)


def test_each_axis_has_candidates_and_workloads():
    for axis in search.AXES["cuda"]:
        variants = list(axis.variants(DEFAULT, GpuTimer.register_count))
        assert variants and DEFAULT not in variants and len(set(variants)) == len(variants), axis.name
        assert any(axis.affects(workload) for workload in STUDY.workloads()), axis.name


def times_by(monkeypatch, seconds):
    def time_ratio(candidate, best, workloads, rounds=7):
        return (seconds(candidate.parameters) / seconds(best.parameters) if workloads else 1.0), 1.0

    monkeypatch.setattr(timing, "time_ratio", time_ratio)


def test_the_fastest_candidate_is_chosen(timer, monkeypatch):
    times_by(monkeypatch, lambda values: 1.0 + (values.tile != 16) + (values.threads != 64) + (values.block != 512))
    hunt = search.Search("cuda", timer, DEFAULT, only("product", "softmax", "add"))
    assert hunt.run(1000) == (tuning.Cuda(threads=64, block=512, tile=16), True)
    assert (hunt.try_count, hunt.refused_count) == (hunt.candidate_count(), 0)


class WrongTimer(GpuTimer):
    """Compiles candidates, the fastest of which (512 threads per block) compute one value wrongly."""

    def compiled(self, kernels, family, values):
        candidate = super().compiled(kernels, family, values)
        if values.block == 512:
            right = candidate.arrays

            def arrays(workload):
                found = right(workload)
                found[0][0, 0] += 0.01
                return found

            candidate.arrays = arrays
        return candidate


def test_what_computes_wrongly_is_refused_however_fast(emulated, monkeypatch):
    times_by(monkeypatch, lambda values: {512: 0.1, 128: 0.5}.get(values.block, 1.0))
    hunt = search.Search("cuda", WrongTimer(Gpu()), DEFAULT, only("add"))
    assert hunt.run(1000) == (replace(DEFAULT, block=128), True)
    assert hunt.refused_count == 1


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    """A user's cache directory without tuning records."""
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("DYNET_RECORDS", raising=False)
    tuning_records._find_records.cache_clear()
    yield
    tuning_records._find_records.cache_clear()


def test_the_command_keeps_what_it_finds(emulated, own_records, monkeypatch, capsys):
    monkeypatch.setattr(command, "pin_to_core", lambda core: None)
    monkeypatch.setitem(search.STUDIES, "cuda", only("add"))
    times_by(monkeypatch, lambda values: 1.0 + (values.block != 64))
    command.main(["--families", "cuda", "--seconds", "100"])
    gpu = Gpu()
    (record,) = tuning_records.read(tuning_records.user_file())
    assert (record.family, record.target, record.cpu) == ("cuda", gpu.arch, "")
    assert record.parameters == tuning_records.for_cuda(gpu.arch) == tuning.Cuda(block=64)
    assert gpu.name in record.measured and list(record.figure) == ["add 3x5", "add 3x200"]
    assert "cuda: Cuda(threads=128, block=64, tile=8)" in capsys.readouterr().out
