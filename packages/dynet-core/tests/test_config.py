"""Command-line flags and settings made in code."""

import subprocess
import sys

import pytest

from dynet_core import ArgumentError, ArgumentTypeError, DeviceError, DynetParams, ParameterCollection
from dynet_core.compute import device
from dynet_kernels.cuda import compiler, driver
from dynet_kernels.machine import sharing


def read(*arguments):
    params = DynetParams()
    params.read(arguments)
    return params


def test_flags_are_read_in_both_spellings():
    params = read("--dynet-seed", "7", "--dynet-mem=512", "--dynet_autobatch", "1", "--dynet-weight-decay", "1e-6")
    assert (params.random_seed, params.mem, params.autobatch, params.weight_decay) == (7, 512, 1, 1e-6)


def test_memory_in_parts_is_accepted():
    assert read("--dynet-mem", "100,200,300,400").mem == 1000


def test_other_arguments_are_left_alone():
    assert read("--epochs", "3", "--seed", "9").random_seed == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dynet-seed", "x"], "--dynet-seed takes a whole number, got 'x'"),
        (["--dynet-seed"], "--dynet-seed takes a whole number, nothing follows it"),
        (["--dynet-weight-decay=nan"], "--dynet-weight-decay takes a number of at least 0, less than 1, got 'nan'"),
        (["--dynet-mem", "1,,2"], "--dynet-mem takes a number of megabytes"),
        (["--dynet-mem=-5"], "--dynet-mem takes a number of megabytes, or several separated by commas, got '-5'"),
        (["--dynet-threads", "0"], "--dynet-threads takes a whole number from 1 to 64, got '0'"),
        (["--dynet-threads=65"], "--dynet-threads takes a whole number from 1 to 64, got '65'"),
        (["--dynet-threads"], "--dynet-threads takes a whole number from 1 to 64, nothing follows it"),
    ],
)
def test_malformed_value_is_an_error(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        read(*arguments)


def test_unknown_flag_is_one_warning_naming_the_nearest():
    with pytest.warns(UserWarning, match="there is no --dynet-sead; did you mean --dynet-seed") as warned:
        read("--dynet-sead", "3")
    assert len(warned) == 1


@pytest.mark.parametrize(("flag", "meant"), [("l2", "weight-decay"), ("cpus", "threads"), ("cuda", "gpu")])
def test_a_flag_that_is_called_otherwise_here(flag, meant):
    with pytest.warns(UserWarning, match=f"there is no --dynet-{flag}; did you mean --dynet-{meant}"):
        read(f"--dynet-{flag}", "3")


@pytest.mark.parametrize("value, error", [("x", ArgumentTypeError), (-1, ArgumentError), (None, ArgumentTypeError)])
def test_setters_refuse_what_is_no_setting(value, error):
    with pytest.raises(error, match="set_random_seed"):
        DynetParams().set_random_seed(value)


def test_threads_are_used_if_somebody_says_how_many(monkeypatch):
    asked = []
    monkeypatch.setattr(sharing, "use", asked.append)
    read().init()
    read("--dynet-threads", "3").init()
    params = DynetParams()
    params.set_threads(2)
    params.init()
    params.set_threads(0)
    params.init()
    assert asked == [3, 2]


@pytest.mark.parametrize("value, error", [("x", ArgumentTypeError), (-1, ArgumentError), (65, ArgumentError)])
def test_threads_that_cannot_be_are_refused(value, error):
    with pytest.raises(error, match="set_threads"):
        DynetParams().set_threads(value)


ASKING = [
    (["--dynet-gpu"], 0), (["--dynet-gpus", "1"], 0), (["--dynet-gpu-ids", "2"], 2), (["--dynet-devices", "GPU:3"], 3),
    (["--dynet-devices", "gpu:0,CPU"], 0),
]  # fmt: skip


@pytest.mark.parametrize("arguments, number", ASKING)
def test_every_way_to_ask_for_a_gpu(arguments, number, monkeypatch):
    chosen = []
    monkeypatch.setattr(device, "choose", chosen.append)
    read(*arguments).init()
    assert chosen == [number]


@pytest.mark.parametrize("arguments", [[], ["--dynet-gpus", "0"], ["--dynet-devices", "CPU"], ["--dynet-devices", ""]])
def test_no_gpu_is_used_unless_asked_for(arguments, monkeypatch):
    monkeypatch.setattr(device, "choose", None)
    read(*arguments).init()
    assert device.name() == "CPU"


def test_setters_ask_for_a_gpu_too(monkeypatch):
    chosen = []
    monkeypatch.setattr(device, "choose", chosen.append)
    params = DynetParams()
    params.set_requested_gpus(1)
    params.init()
    assert chosen == [0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dynet-gpus", "2"], "2 GPUs were asked for; a process uses one"),
        (["--dynet-devices", "GPU:0,GPU:1"], "2 GPUs were asked for; a process uses one"),
        (["--dynet-devices", "GPU"], "--dynet-devices takes devices separated by commas.* got 'GPU'"),
        (["--dynet-devices", "TPU:0"], "--dynet-devices takes devices separated by commas.* got 'TPU:0'"),
        (["--dynet-gpu-ids", "x"], "--dynet-gpu-ids takes numbers separated by commas, got 'x'"),
        (["--dynet-gpu", "--dynet-shared-parameters"], "share parameters on the CPU only"),
    ],
)
def test_what_cannot_be_a_gpu_is_refused(arguments, message, monkeypatch):
    monkeypatch.setattr(device, "choose", None)
    with pytest.raises(ArgumentError, match=message):
        read(*arguments).init()


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setattr(driver, "LIBRARY", "libcuda-that-is-not-there.so")
    driver._library.cache_clear()
    driver.gpu_count.cache_clear()
    with pytest.raises(DeviceError, match="GPU:0 was asked for, but the NVIDIA driver is missing: libcuda-that-is-not"):
        device._open(0)
    assert device.name() == "CPU"


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(driver, "Gpu", lambda number: None)
    monkeypatch.setattr(compiler, "find_nvcc", lambda: None)
    monkeypatch.setattr(compiler, "find_nvrtc", lambda: None)
    message = r"GPU:0 was asked for, but neither nvcc .* nor nvrtc was found.*pip install 'dynet-kernels\[cuda\]'"
    with pytest.raises(DeviceError, match=message):
        device._open(0)


def test_a_gpu_comes_before_parameters():
    ParameterCollection().add_parameters((2,))
    with pytest.raises(ArgumentError, match="GPU:0 was asked for after parameters had been made"):
        device.choose(0)


PROGRAM = """
import sys
from dynet_core import config, ParameterCollection
config.init()
print(ParameterCollection().add_parameters((2,)).as_array().tolist(), sys.argv[1:])
"""


def test_seed_of_the_command_line_sets_initial_values():
    def run(*arguments):
        command = [sys.executable, "-c", PROGRAM, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert run("--dynet-seed", "1") == run("--dynet-seed", "1")
    assert run("--dynet-seed", "1") != run("--dynet-seed", "2")
    assert "['--dynet-seed', '1']" in run("--dynet-seed", "1")
    assert run("--dynet-seed", "0") != run("--dynet-seed", "0")


def test_settings_of_an_object():
    class Settings:
        mem, seed, autobatch, profiling, weight_decay, shared_params, requested_gpus = 512, 7, True, 1, 1e-3, True, 0

    params = DynetParams()
    params.from_config(Settings)
    assert (params.mem, params.random_seed, params.autobatch, params.profiling) == (512, 7, 1, 1)
    assert (params.weight_decay, params.shared_parameters, params.requested_gpus) == (1e-3, True, 0)
    Settings.mem, Settings.weight_decay = 100, 1.5
    with pytest.raises(ArgumentError, match="set_weight_decay: expected a number less than 1, got 1.5"):
        params.from_config(Settings)
    assert (params.mem, params.weight_decay) == (512, 1e-3)
    del Settings.requested_gpus
    with pytest.raises(ArgumentError, match="has no requested_gpus|set_weight_decay"):
        params.from_config(Settings)


def test_cpu_mode_takes_back_that_a_gpu_was_asked_for():
    params = read("--dynet-gpu", "--dynet-devices", "CPU,GPU:0", "--dynet-gpus", "1")
    params.set_cpu_mode()
    params.init()


def test_settings_of_a_dict():
    given = {
        "mem": "100,200", "seed": 7, "autobatch": 1, "profiling": 0, "weight_decay": 0.5, "shared_params": 0,
        "requested_gpus": 0,
    }  # fmt: skip
    params = DynetParams()
    params.from_config(given)
    assert (params.mem, params.random_seed, params.weight_decay, params.gpu_ids) == (300, 7, 0.5, "")
    params.from_config(given | {"gpu_mask": [0, 1]})
    assert params.gpu_ids == "1"
    before = dict(vars(params))
    for name in given:
        with pytest.raises(ArgumentError, match=f"dict has no {name}"):
            params.from_config({key: 3 for key in given if key != name})
    for wrong, error in ((3, ArgumentTypeError), (given | {"mem": "x"}, ArgumentError)):
        with pytest.raises(error):
            params.from_config(wrong)
    assert vars(params) == before


@pytest.mark.parametrize("mask, number", [([1], 0), ([0, 0, 1], 2), ((False, True), 1)])
def test_a_mask_asks_for_a_gpu(mask, number, monkeypatch):
    chosen = []
    monkeypatch.setattr(device, "choose", chosen.append)
    params = DynetParams()
    params.set_gpu_mask(mask)
    params.init()
    assert chosen == [number]
    params.set_gpu_mask([])
    params.init()
    params.set_gpu_mask(mask)
    params.set_cpu_mode()
    params.init()
    assert chosen == [number]


def test_a_mask_of_two_gpus(monkeypatch):
    monkeypatch.setattr(device, "choose", None)
    params = DynetParams()
    params.set_gpu_mask([1, 0, 1])
    with pytest.raises(ArgumentError, match="2 GPUs were asked for; a process uses one"):
        params.init()


WRONG = [
    ("set_gpu_mask", 3, ArgumentTypeError), ("set_gpu_mask", [2], ArgumentTypeError),
    ("set_gpu_mask", "1", ArgumentTypeError), ("set_mem", "1,,2", ArgumentError), ("set_mem", None, ArgumentTypeError),
    ("set_mem", -1, ArgumentError), ("set_autobatch", "x", ArgumentTypeError),
    ("set_autobatch", None, ArgumentTypeError),
]  # fmt: skip


@pytest.mark.parametrize("setter, value, error", WRONG)
def test_setters_say_what_is_wrong_and_change_nothing(setter, value, error):
    params = DynetParams()
    before = dict(vars(params))
    with pytest.raises(error, match=setter):
        getattr(params, setter)(value)
    assert vars(params) == before


def test_memory_as_text():
    params = DynetParams()
    params.set_mem("512")
    assert params.mem == 512
    params.set_mem("1,2,3,4")
    assert params.mem == 10
