"""The project's commands, as sessions of nox: `nox -s NAME`. CONTRIBUTING.md says when to use which."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False  # a session whose Python is not installed is skipped, with a message

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PACKAGES = {path.parent.name: nox.project.load_toml(path) for path in sorted(ROOT.glob("packages/*/pyproject.toml"))}
SHARED = PROJECT["tool"]["dynet"]
PYTHONS = [version for one in SHARED["classifiers"] for version in re.findall(r":: (3\.\d+)$", one)]
RECORDING = (
    "packages/dynet-core/tests/test_recorder_choice.py",
    "packages/dynet-core/tests/test_recorder_tables.py",
    "packages/dynet-core/tests/test_recorder_keywords.py",
    "packages/dynet-core/tests/test_expression_chain.py",
    "packages/dynet-ops/tests/test_quick_ways.py",
    "packages/dynet-ops/tests/test_ops_as_objects.py",
    "packages/dynet-ops/tests/test_operators.py",
    "packages/dynet-ops/tests/test_graph.py",
    "tests/test_other_threads.py",
    "tests/test_graph_modes.py",
)  # the tests of how operations are recorded in graphs; compiled code does this with the internals of CPython's objects
# The kinds of CPU for which a wheel of each architecture brings code.
COMPILED = {"x86_64": ("x86-64-v3", "x86-64-v4", "x86-64-v4-bf16"), "aarch64": ("aarch64",)}
# A test process for each core, four at most, by pytest-xdist. One that has run out of tests takes some of another's.
# One that dies is not replaced: the run ends.
WORKERS = ("--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal", "--max-worker-restart=0")
MPI = ("tests/mpi", "examples", "benchmarks/tests/test_benchmarks_mpi.py")  # where the tests with several processes are


def group(*names):
    """Return the requirements in these dependency groups of the repository's pyproject.toml."""
    return nox.project.dependency_groups(PROJECT, *names)


def install(session, *names, extras=()):
    """Install this repository's packages, editable, and the requirements in these dependency groups.

    What builds the packages is installed first. If pip built each in an environment of its own, it would need three
    times as long.
    """
    session.install(*PACKAGES["dynet"]["build-system"]["requires"], "editables", *group(*names))
    session.install("--no-build-isolation", "-r", "requirements.txt", *extras)


def siblings_of(package):
    """Return the names of this repository's packages on which a package depends, directly or not."""
    found = set()
    for name in PACKAGES[package]["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]:
        if name in PACKAGES:
            found |= {name} | siblings_of(name)
    return found


def python_with(session, name):
    """Return the path of a Python that has the dependency group `name`, such as the original DyNet for comparisons.

    It is in a separate virtual environment, which is made if needed.
    """
    environment = ROOT / ".nox" / name
    python = environment / "bin" / "python"
    if not python.exists():
        session.run_install(sys.executable, "-m", "virtualenv", "--quiet", str(environment), external=True)
    session.run_install(str(python), "-m", "pip", "install", "--quiet", *group(name), external=True, silent=True)
    return str(python)


@nox.session
def tests(session):
    """Run the tests in one environment, after those of recording in graphs with the recorder written in Python.

    The tests that are marked `thorough` are left to the session of that name.
    """
    prepare(session)
    if not session.posargs:
        files = [file for file in RECORDING if "_choice" not in file]  # which chooses recorders itself
        session.run("pytest", "-q", *WORKERS, "-m", "not thorough", *files, env={"DYNET_RECORDER": "python"})
    run_pytest(session, "not thorough")


@nox.session
def thorough(session):
    """Run the tests that `tests` and `mpi` leave out: more samples for checks that they make with fewer."""
    run_tests(session, "thorough")
    if not session.posargs:
        session.install(*group("mpi"))
        session.run("pytest", "-m", "mpi and thorough", *MPI)


@nox.session
def untuned(session):
    """Run all tests without tuned parameters of kernels, which may change their speed, but no result."""
    run_tests(session, DYNET_RECORDS="off")


@nox.session
def emulated(session):
    """Run all tests with products that round their factors to bfloat16, emulated on any CPU. See tests/emulated.py."""
    prepare(session)
    chosen = session.posargs or (*WORKERS, "--ignore=tests/parity", "-m", "not cuda and not mpi and not thorough")
    session.run("python", "-m", "pytest", "-p", "tests.emulated", *chosen)


@nox.session(python=False)
def landing(session):
    """Run all sessions that must pass before a change lands: side by side, except the last, which needs all cores."""
    *names, last = SHARED["sessions"]["landing"]
    session.notify(last)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = {name: subprocess.Popen([sys.executable, "-m", "nox", "-s", name], **options) for name in names}
    for process in running.values():
        print(process.communicate()[0], flush=True)
    if failed := [name for name, process in running.items() if process.returncode]:
        session.error(f"failed: {' '.join(failed)}")


@nox.session
def newest(session):
    """Run all tests with the newest published version of TVM, even if the packages do not take it yet."""
    with_tvm(session, "--upgrade", "apache-tvm", "apache-tvm-ffi", "apache-tvm-ffi-orcjit")


@nox.session
def oldest(session):
    """Run all tests with the oldest version of TVM that the packages take."""
    required = PACKAGES["dynet-kernels"]["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]
    with_tvm(session, *(re.sub(">=([^,]*).*", r"==\1", one) for one in required if one.startswith("apache-tvm")))


def with_tvm(session, *wanted):
    install(session, "test", "examples")
    session.install(*wanted)
    session.run("python", "-m", "dynet")
    session.run("pytest", "--ignore=tests/parity", "-m", "not cuda", *session.posargs)


@nox.session
def readers(session):
    """Run the code of all pages where only what the documents say is installed; then make a checkout ready by uv."""
    install(session, "test")
    session.install("uv")
    python = Path(session.create_tmp()).resolve() / "reader" / "bin" / "python"
    session.run("virtualenv", "--quiet", "--clear", str(python.parents[1]))
    pages = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/**/*.md"))
    told = re.findall(r"`pip install ([\w-]+)`", pages)  # beside the first line of docs/install.md
    session.run(str(python), "-m", "pip", "install", "--quiet", "-r", "requirements.txt", *told, external=True)
    session.run("pytest", "tests/docs/test_pages.py", *session.posargs, env={"DYNET_READERS_PYTHON": str(python)})
    checkout = python.parents[2] / "checkout"
    shutil.rmtree(checkout, ignore_errors=True)
    session.run("git", "clone", "--quiet", str(ROOT), str(checkout), external=True)
    session.run("uv", "sync", "--quiet", "--project", str(checkout), env={"VIRTUAL_ENV": None})
    session.run(str(checkout / ".venv" / "bin" / "python"), "-c", "import dynet, safetensors", external=True)


@nox.session
def python_recorder(session):
    """Run all tests with the recorder written in Python, which is used where the compiled one cannot be."""
    run_tests(session, DYNET_RECORDER="python")


def compile_kernels(session, **environment):
    """Compile all kernels by one process, which takes a third of the time that the tests' processes would take."""
    session.run("python", "-m", "dynet_kernels.build", env=environment)


def run_tests(session, *which, **environment):
    """Run the tests that have the markers `which`; by default, all."""
    prepare(session, **environment)
    run_pytest(session, *which, **environment)


def prepare(session, **environment):
    install(session, "test", "examples", "workers")
    if not session.posargs:
        compile_kernels(session, **environment)


def run_pytest(session, *which, **environment):
    workers = () if session.posargs else WORKERS
    chosen = ("--ignore=tests/parity", "-m", " and ".join(["not cuda and not mpi", *which]), *session.posargs)
    session.run("pytest", *workers, *chosen, env=environment)


@nox.session(python=PYTHONS, download_python="never")
def pythons(session):
    """Run the tests of recording in graphs under each supported Python. Skip those that are not installed."""
    install(session, "test")
    session.run("pytest", *(session.posargs or RECORDING))


@nox.session
@nox.parametrize("package", list(PACKAGES), ids=list(PACKAGES))
def package(session, package):
    """Run the tests of one package, with only the packages it depends on: nox -s "package(dynet-rnn)"."""
    editable = [f"-epackages/{name}" for name in [*sorted(siblings_of(package)), package]]
    session.install(*editable, *group("test"))
    session.run("pytest", "-m", "not cuda and not mpi", f"packages/{package}/tests", *session.posargs)


@nox.session
def coverage(session):
    """Measure which lines of the packages the tests execute, also in child processes. Fail below 95 %."""
    install(session, "test", "examples", "coverage", "mpi", extras=("-e", "packages/dynet-kernels[cuda]"))
    # With an empty cache, the code that emits kernels runs, too. Some tests run programs in other directories.
    session.env["DYNET_CACHE_DIR"] = str(Path(session.create_tmp()).resolve() / "cache")
    # "sysmon" is the faster way to count lines. Python has it from 3.12 on.
    session.env["COVERAGE_CORE"] = "sysmon" if sys.version_info >= (3, 12) else "ctrace"
    session.run("coverage", "erase")
    # This test fails because `coverage` itself calls what the test watches for.
    without = "--deselect=packages/dynet-core/tests/test_hostile_pickles.py::test_nothing_is_called"
    parts = [["--ignore=tests/parity", "--ignore=tests/stress", "-m", "not cuda", without], ["tests/cuda"]]
    for part in [session.posargs] if session.posargs else parts:
        session.run("coverage", "run", "-m", "pytest", *part)
    session.run("coverage", "combine")
    session.run("coverage", "report", "--skip-covered", "--fail-under=95")


@nox.session
def cuda(session):
    """Test CUDA kernels without a GPU: compile them, run them in an emulation, and compare them with the CPU's."""
    install(session, "test", extras=("-e", "packages/dynet-kernels[cuda]"))
    report = Path(session.create_tmp()) / "cuda.json"
    report.unlink(missing_ok=True)
    session.run("pytest", "tests/cuda", *session.posargs, env={"DYNET_CUDA_REPORT": str(report)})
    counts = json.loads(report.read_text())
    print(f"cuda: {counts['kernels']} kernels compiled, {counts['compared']} of {counts['samples']} samples compared")
    for tool, count in (("nvcc", "kernels"), ("g++", "compared")):
        if not shutil.which(tool):
            session.warn(f"there is no {tool} on this machine")
        elif not counts[count]:
            session.error(f"there is {tool} on this machine, but nothing was {count}")
    if shutil.which("g++") and not session.posargs and counts["compared"] < 0.99 * counts["samples"]:
        session.error("fewer than 99 % of the samples were compared")


@nox.session
def mpi(session):
    """Run the tests with two to four processes, started by MPICH: they train as one process does, and none hangs."""
    install(session, "test", "examples", "mpi")
    if not session.posargs:
        compile_kernels(session)
    session.run("pytest", "-m", "mpi" if session.posargs else "mpi and not thorough", *(session.posargs or MPI))


@nox.session
def parity(session):
    """Run the same scripts under the original DyNet and under this library, and compare what they compute."""
    install(session, "test")
    session.env["DYNET_REFERENCE_PYTHON"] = python_with(session, "reference")
    session.run("pytest", "tests/parity", *session.posargs)


@nox.session
def programs(session):
    """Compare programs under the original DyNet and this library in a table; --write puts it into docs/programs.md."""
    install(session)
    session.env["DYNET_REFERENCE_PYTHON"] = python_with(session, "reference")
    session.run("python", "tests/parity/programs", *session.posargs)


@nox.session
def bench(session):
    """Compare the speed with the original DyNet and other libraries; with --quick, only with the original DyNet."""
    install(session, "bench")
    peers = {"DYNET_REFERENCE_PYTHON": "reference"}
    if "--quick" not in session.posargs:
        peers |= {"TORCH_PYTHON": "torch", "PYG_PYTHON": "pyg", "JAX_PYTHON": "jax", "MLX_PYTHON": "mlx"}
    for variable, name in peers.items():
        session.env[variable] = os.environ.get(variable) or python_with(session, name)
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def tune(session):
    """Find the fastest parameters of kernels for this CPU and its GPU, and keep them in the cache directory."""
    session.install("-e", "packages/dynet-kernels[tune]")
    session.run("python", "-m", "dynet_kernels.tune", *session.posargs)


@nox.session
def tuning_table(session):
    """Compare the speed of tuned kernels with default ones, OpenBLAS and MetaSchedule: the table in docs/tuning.md."""
    install(session, "metaschedule")
    session.run("python", "benchmarks/tuning.py", *(session.posargs or ["--trials", "32"]))


@nox.session
def fuzz(session):
    """Test reading of 100,000 damaged files of each format, and 200 saves that are killed halfway."""
    session.install("-e", "packages/dynet-kernels", "-e", "packages/dynet-core", *group("test"))
    session.run("python", "packages/dynet-core/tests/fuzz_files.py", *(session.posargs or ["100000"]))
    session.run("pytest", "packages/dynet-core/tests/test_replacing.py", env={"DYNET_KILLS": "200"})


@nox.session
def stress(session):
    """Run long tests: signals, exceptions at every bytecode, millions of expressions, killed compilers, random data.

    Last, 300 random formulas are compared with mpmath and torch.
    """
    install(session, "test")
    session.run("pytest", "tests/stress", *session.posargs, env={"DYNET_STRESS": "all"})
    if not session.posargs:
        session.run(
            "pytest",
            "--hypothesis-profile=default",
            "-m",
            "hypothesis and not cuda and not mpi",
            "--ignore=tests/stress",
        )
        torch = {"TORCH_PYTHON": os.environ.get("TORCH_PYTHON") or python_with(session, "torch")}
        session.run("python", "tests/stress/random_formulas.py", env=torch)


@nox.session
def tagger(session):
    """Train the part-of-speech tagger on a real treebank."""
    install(session, "examples")
    session.run("python", "examples/tagger/train.py", *session.posargs)


@nox.session
def language_model(session):
    """Train an LSTM language model on the treebank's sentences."""
    install(session, "examples")
    session.run("python", "examples/language_model/train.py", *session.posargs)


@nox.session
def tree_lstm(session):
    """Train a TreeLSTM on the treebank's dependency trees."""
    install(session, "examples")
    session.run("python", "examples/tree_lstm/train.py", *session.posargs)


@nox.session
def wheels(session):
    """Build all wheels into dist/ and install them into a clean environment."""
    session.install(*group("test"))
    session.env["DYNET_WHEELS"] = str(ROOT / "dist")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.run("pip", "wheel", "--no-deps", "--wheel-dir=dist", *(f"./packages/{name}" for name in PACKAGES))
    session.run("pytest", "tests/test_packaging.py", *session.posargs)


@nox.session
def compiled_wheels(session):
    """Build wheels of dynet-kernels that bring compiled kernels, one for each architecture, into dist/compiled/."""
    install(session, "test")
    folder = ROOT / "dist" / "compiled"
    shutil.rmtree(folder, ignore_errors=True)
    for architecture, kinds in COMPILED.items():
        built = Path(session.create_tmp()).resolve() / architecture
        shutil.rmtree(built, ignore_errors=True)
        built.mkdir()
        session.run("python", "-m", "dynet_kernels.build", "--for", *kinds, "--into", str(built))
        environment = {"DYNET_COMPILED": str(built), "DYNET_ARCHITECTURE": architecture}
        wheel = ("pip", "wheel", "--no-deps", "--quiet", f"--wheel-dir={folder}", "./packages/dynet-kernels")
        session.run(*wheel, env=environment)
    session.env["DYNET_COMPILED_WHEELS"] = str(folder)
    session.run("pytest", "tests/test_compiled_wheels.py", *session.posargs)


@nox.session
def docs(session):
    """Run the code in all pages, train the examples on a few sentences, and build the pages into build/docs."""
    install(session, "test", "examples", "docs")
    session.run("pytest", "-q", "tests/docs", "examples", *session.posargs)
    session.run("sphinx-build", "-W", "--keep-going", "--fresh-env", "docs", "build/docs")


@nox.session
def lint(session):
    """Check the style of the code with ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session):
    """Check the types of the packages' sources, and of programs that use every public name, with pyright and mypy."""
    install(session, "types")
    session.run("pyright", *session.posargs)
    if not session.posargs:
        session.run("pyright", "--verifytypes", "dynet", "--ignoreexternal")
        session.run("pyright", "--project", "tests/typing/standard.json")
        session.run("pyright", "--project", "tests/typing/strict.json")
        session.run(
            "mypy",
            "--strict",
            "tests/typing/every_public_name.py",
            "tests/typing/names_of_ops.py",
            "tests/typing/calls_of_ops.py",
            "tests/typing/names_of_models.py",
            "tests/typing/wrong_uses.py",
            "tests/typing/own_ops.py",
        )
        session.run("python", "tests/typing/public_types.py")
