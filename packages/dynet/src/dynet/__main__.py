"""``python -m dynet`` describes the installation, for bug reports; ``--clear-cache`` removes compiled kernels.

If a line's value cannot be determined, the line says why. No kernels are compiled.
"""

import argparse
import importlib
import io
import os
import platform
import sys
import sysconfig
import warnings
from collections.abc import Callable, Sequence

import dynet
from dynet import _installation
from dynet_core.config import FLAGS
from dynet_kernels import target, tuning_records
from dynet_kernels.cache import shipped_code, store
from dynet_kernels.cuda import compiler, driver
from dynet_kernels.kernels import SHARD_SIZE
from dynet_kernels.layout import FILL
from dynet_kernels.machine import library, sharing
from dynet_kernels.machine.parts import Planner, Shard, key_of
from dynet_kernels.table import KERNELS
from dynet_kernels.target import bfloat16_of_host

REQUIREMENTS = ("numpy", "apache-tvm", "apache-tvm-ffi", "apache-tvm-ffi-orcjit")


def packages() -> str:
    own_version = f"{_installation.DISTRIBUTION} {dynet.__version__}"
    return ", ".join([own_version, *map(_name_and_version, _installation.SIBLING_DISTRIBUTIONS)])


def _name_and_version(distribution: str) -> str:
    version = _installation.version_of(distribution)
    if version is None and _installation.is_installed(distribution.replace("-", "_")):
        version = "from a source tree"
    return f"{distribution} {version or 'not installed'}"


def python_build() -> str:
    variables = {"free-threaded": "Py_GIL_DISABLED", "debug": "Py_DEBUG"}
    kind = ", ".join(name for name, variable in variables.items() if sysconfig.get_config_var(variable)) or "ordinary"
    return f"{platform.python_implementation()} {sys.version} ({kind} build)"


def cpu() -> str:
    machine, model, _ = target.read_cpu()
    return f"{machine}, {model.replace(chr(10), ', ') or 'of an unknown model'}"


def compile_target() -> str:
    host = target.host_cpu()
    return f"{host.kind}, {host.lanes} numbers to a vector, {host.tvm_target().attrs['mcpu']} to LLVM"


def recorder() -> str:
    name = "dynet_core.recorder"
    return importlib.import_module(name).DESCRIPTION if _installation.is_installed(name) else "python"


def kernel_cache() -> str:
    directory = store.cache_directory()
    sizes = [path.stat().st_size for path in directory.glob("*.o")]
    text = f"{directory}, {len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB"
    return text if os.access(directory, os.W_OK | os.X_OK) else f"{text}, but it cannot be written to"


def shipped_kernels() -> str:
    if not shipped_code.FOLDER.exists():
        return "none: kernels are compiled when they are first used"
    sizes = [len(path.read_bytes()) for path in shipped_code.FOLDER.iterdir()]
    # Every program needs these parts of the compiled code. The first target that has all of them is in use.
    common_parts = [Planner(), Shard(KERNELS.shard(FILL // SHARD_SIZE))]
    kinds = [
        target.kind
        for target in library.general_targets()
        if all(shipped_code.find(key_of(part.for_target(target), with_versions=False)) for part in common_parts)
    ]
    return f"{len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB; used here: {kinds[0] if kinds else 'none'}"


def tuned_parameters() -> str:
    records = tuning_records.records_in_use(target.host_cpu())
    return ", ".join(f"{record.parameters} from {path}" for path, record in records.values())


def gpus() -> str:
    try:
        all_gpus = [driver.Gpu(index) for index in range(driver.gpu_count())]
    except driver.NoDriverError as problem:
        return f"none: {problem}"
    return ", ".join(f"{gpu.name} ({gpu.arch})" for gpu in all_gpus)


def bfloat16() -> str:
    found, reason = bfloat16_of_host()
    return found or f"none: {reason}"


def gpu_compiler() -> str:
    try:
        return compiler.compiler_name()
    except compiler.NoCompilerError as problem:
        return f"none: {problem}"


def threads() -> str:
    return (
        f"{sharing.thread_count()} share work, of {sharing.MOST_DEFAULT_THREADS} at most; "
        f"this process may use {sharing.core_count()} cores"
    )


def environment() -> str:
    variables = [f"{name}={value!r}" for name, value in sorted(os.environ.items()) if name.startswith("DYNET_")]
    return ", ".join(variables) or "no DYNET_ variables are set"


LINES: dict[str, Callable[[], str]] = {
    "packages": packages,
    "requirements": lambda: ", ".join(map(_name_and_version, REQUIREMENTS)),
    "Python": python_build,
    "system": platform.platform,
    "CPU": cpu,
    "compile target": compile_target,
    "bfloat16": bfloat16,
    "recorder": recorder,
    "kernel cache": kernel_cache,
    "shipped code": shipped_kernels,
    "tuning": tuned_parameters,
    "GPU": gpus,
    "GPU compiler": gpu_compiler,
    "threads": threads,
    "environment": environment,
}


def one_line(describe: Callable[[], str]) -> str:
    """Return the result of `describe` or its error, and any warnings, as one line."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            text = describe()
        except Exception as problem:
            text = f"unknown ({type(problem).__name__}: {problem})"
    return " ".join("; ".join([text, *(str(warning.message) for warning in warned)]).split())


def without_dynet_flags(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without flags such as `--dynet-seed 3`, which `import dynet` has already read."""
    kept, arguments = [], list(arguments)
    while arguments:
        argument = arguments.pop(0)
        flag, has_value, _ = argument.replace("_", "-").removeprefix("--dynet-").partition("=")
        if not argument.startswith(("--dynet-", "--dynet_")) or flag not in FLAGS:
            kept.append(argument)
        elif FLAGS[flag][1] is not None and not has_value:
            del arguments[:1]
    return kept


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dynet",
        description="Say what runs here and what is missing: text for bug reports.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--clear-cache",
        action="store_true",
        help="remove all compiled kernels, and say what was removed; programs compile them again",
    )
    return parser.parse_args(without_dynet_flags(arguments))


def clear_cache() -> None:
    try:
        directory = store.cache_directory()
        count, size = store.clear()
    except store.CacheError as problem:
        sys.exit(f"python -m dynet: {problem}")
    print(f"removed {count} file{'' if count == 1 else 's'} ({size / 2**20:.1f} MiB) from {directory}")


def main() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path may have characters that stdout cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    if parse_options(sys.argv[1:]).clear_cache:
        clear_cache()
        return
    try:
        for name, describe in LINES.items():
            print(f"{name}: {one_line(describe)}", flush=True)
    except BrokenPipeError:  # the reader, such as `head -1`, has quit; avoid a second error when Python flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
