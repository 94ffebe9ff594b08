"""CPU detection, and the compilation targets that follow from it."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynet_kernels import target
from dynet_kernels.target import CpuTarget, host_cpu, read_cpu, target_for

AVX2 = target._KINDS["avx2"][2]
AVX512, BF16 = target._KINDS["avx512"][2], target._KINDS[target.BF16][2]
on_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="needs an x86-64 CPU")

CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Some CPU @ 2.00GHz
stepping\t: 7
microcode\t: 0x5003302
cpu MHz\t\t: 2000.152
flags\t\t: fpu sse2 avx avx2 fma bmi1 bmi2 f16c movbe abm
bogomips\t: 4000.30

processor\t: 1
vendor_id\t: SomebodyElse
flags\t\t: fpu avx512f
"""
CPUINFO_ARM = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd fphp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c

processor\t: 1
"""


@pytest.fixture(autouse=True)
def forget():
    host_cpu.cache_clear()
    yield
    host_cpu.cache_clear()


@pytest.mark.parametrize(
    ("machine", "features", "lanes"),
    [
        ("x86_64-linux", AVX512, 16),
        ("x86_64-linux", AVX2, 8),
        ("x86_64-linux", AVX2 - {"fma"}, 4),
        ("x86_64-linux", {"sse2", "avx"}, 4),
        ("x86_64-linux", set(), 4),
        ("aarch64-linux", {"asimd", "sve"}, 4),
    ],
)
def test_lanes_follow_from_the_features(machine, features, lanes):
    cpu = target_for("", machine, "model", frozenset(features))
    assert (cpu.machine, cpu.lanes, cpu.kind) == (machine, lanes, "native")


@pytest.mark.parametrize(("kind", "lanes"), [("avx512_bf16", 16), ("avx512", 16), ("avx2", 8), ("generic", 4)])
def test_a_kind_can_be_asked_for(kind, lanes):
    cpu = target_for(kind, "x86_64-linux", "model", BF16)
    assert cpu == CpuTarget("x86_64-linux", f"x86_64-linux {kind}", lanes, kind)
    assert cpu == target_for(kind, "x86_64-linux", "another model", BF16 | {"more"})


def test_a_kind_this_cpu_cannot_run_is_refused():
    with pytest.raises(ValueError, match=r"'avx512', but this CPU \(x86_64-linux\) lacks avx512bw, avx512cd"):
        target_for("avx512", "x86_64-linux", "model", AVX2)
    with pytest.raises(ValueError, match=r"'avx2', but this CPU \(aarch64-linux\) lacks"):
        target_for("avx2", "aarch64-linux", "model", frozenset({"asimd"}))
    with pytest.raises(ValueError, match="'avx512_bf16', but .* lacks avx512_vnni"):
        target_for("avx512_bf16", "x86_64-linux", "model", BF16 - {"avx512_vnni"})
    assert target_for("generic", "aarch64-linux", "model", frozenset({"asimd"})).lanes == 4


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="DYNET_CPU is 'sse': use one of native, avx512_bf16, avx512, avx2, generic"):
        target_for("sse", "x86_64-linux", "model", AVX2)


@given(st.frozensets(st.sampled_from(sorted(AVX512)), min_size=1), st.sampled_from(sorted(AVX512)))
def test_identity_changes_with_every_feature(features, feature):
    def identity(features, model="model"):
        return target_for("", "x86_64-linux", model, features).identity

    assert identity(features) == identity(frozenset(sorted(features, reverse=True)))
    assert identity(features | {feature}) != identity(features - {feature})
    assert identity(features) != identity(features, "another model")


def test_only_the_lasting_lines_of_the_first_core_count(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    model, features = target._read_cpu_on_linux(str(path))
    assert model == "vendor_id: GenuineIntel\ncpu family: 6\nmodel: 85\nstepping: 7"
    assert features == AVX2 | {"fpu", "sse2"}
    path.write_text(CPUINFO.replace("2000.152", "3100.000").replace("0x5003302", "0x5003303"))
    assert target._read_cpu_on_linux(str(path)) == (model, features)


def test_an_arm_cpu_is_described(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO_ARM)
    model, features = target._read_cpu_on_linux(str(path))
    assert model == "CPU implementer: 0x41\nCPU architecture: 8\nCPU variant: 0x3\nCPU part: 0xd0c"
    assert features == {"fp", "asimd", "fphp"}


def test_a_system_that_hides_its_cpu_gets_plain_code(tmp_path):
    assert target._read_cpu_on_linux(str(tmp_path / "missing")) == ("", frozenset())


def test_macos_names_are_translated(monkeypatch):
    answers = {
        "machdep.cpu.brand_string": "Some CPU",
        "machdep.cpu.features": "FPU FMA MOVBE AVX1.0 F16C",
        "machdep.cpu.leaf7_features": "BMI1 AVX2 BMI2",
        "machdep.cpu.extfeatures": "SYSCALL LZCNT",
    }
    monkeypatch.setattr(target, "_sysctl", lambda name: answers.get(name, ""))
    model, features = target._read_cpu_on_darwin()
    assert model == "Some CPU"
    assert features == AVX2 | {"fpu", "syscall"}


def test_this_cpu_is_found_fast_and_without_tvm():
    program = """if True:
        import sys, time
        from dynet_kernels.target import host_cpu
        times = []
        for _ in range(5):
            host_cpu.cache_clear()
            began = time.perf_counter()
            cpu = host_cpu()
            times.append(time.perf_counter() - began)
        assert "tvm" not in sys.modules
        assert host_cpu() is cpu
        print(min(times))
    """
    search = os.pathsep.join([str(Path(target.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 0.002


def test_the_environment_chooses_the_kind(monkeypatch):
    monkeypatch.setenv("DYNET_CPU", "generic")
    assert host_cpu().kind == "generic"
    host_cpu.cache_clear()
    monkeypatch.setenv("DYNET_CPU", "")
    assert host_cpu().kind == "native"
    host_cpu.cache_clear()
    monkeypatch.setenv("DYNET_CPU", "best")
    with pytest.raises(ValueError, match="'best'"):
        host_cpu()


def test_the_native_target_is_what_llvm_calls_this_cpu(monkeypatch):
    import tvm

    monkeypatch.delenv("DYNET_CPU", raising=False)
    chosen = host_cpu().tvm_target()
    has = tvm.target.codegen.target_has_features
    assert has("avx512f", chosen) == (host_cpu().lanes == 16)
    if host_cpu().lanes == 8:
        assert has(["avx2", "fma"], chosen)
    _, _, features = read_cpu()
    if AVX512 <= features:
        assert chosen.attrs["mcpu"] == tvm.target.codegen.llvm_get_system_cpu()


@on_x86
@pytest.mark.parametrize("kind", ["avx512_bf16", "avx512", "avx2", "generic"])
def test_a_chosen_kind_uses_its_registers_and_no_wider_ones(kind):
    registers = {"avx512_bf16": "zmm", "avx512": "zmm", "avx2": "ymm", "generic": "xmm"}
    cpu = target_for(kind, "x86_64-linux", "model", BF16)
    assembly = assembly_of_doubling(cpu)
    assert registers[kind] in assembly
    if not kind.startswith("avx512"):
        assert "zmm" not in assembly
    if kind == "generic":
        assert "ymm" not in assembly


@on_x86
@pytest.mark.parametrize(("features", "mcpu"), [(AVX2, "x86-64-v3"), (frozenset(), "x86-64")])
def test_what_a_virtual_machine_hides_is_not_used(features, mcpu, monkeypatch):
    """LLVM knows the model, which has AVX-512; the system reports that this machine does not offer it."""
    import tvm

    monkeypatch.setattr(tvm.target.codegen, "llvm_get_system_cpu", lambda: "znver4")
    assert target_for("", "x86_64-linux", "model", features).tvm_target().attrs["mcpu"] == mcpu
    monkeypatch.setattr(tvm.target.codegen, "llvm_get_system_cpu", lambda: "x86-64")
    assert target_for("", "x86_64-linux", "model", AVX512).tvm_target().attrs["mcpu"] == "x86-64-v4"


def assembly_of_doubling(cpu):
    import tvm
    from tvm import ir, tirx
    from tvm.script.ir_builder import IRBuilder
    from tvm.tirx.script import builder as T

    with IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_name("double")
            address = T.reinterpret(ir.PointerType(ir.PrimType("float32")), T.arg("address", T.int64()))
            memory = T.decl_buffer((1 << 40,), "float32", data=T.bind(address))
            zero = tirx.const(0, "int64")
            wide = memory.vload((zero,), f"float32x{cpu.lanes}")
            T.add_to_parent(memory.vstore((zero,), wide + wide))
    module = ir.IRModule({ir.GlobalVar("double"): builder.get()})
    return tvm.compile(module, target=cpu.tvm_target()).mod.inspect_source("asm")
