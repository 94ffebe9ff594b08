"""`dynet_config`: settings made before `import dynet`, and when the command line counts.

Each program runs in a separate process, because settings are per process.
"""

import json
import subprocess
import sys

import pytest

import dynet_config

PROGRAM = """
import json
import dynet_config
{before}
import dynet as dy
from dynet_core import config
params = config.PARAMS
print(json.dumps([params.random_seed, params.weight_decay, params.threads, dynet_config.get() is None]))
"""


def settings(before, *arguments):
    """Return the seed, weight decay, threads, and whether the command line was read; or the program's last error."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(before=before), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


DECIDES = {
    "mem": "mem=100", "memory in parts": "mem='100,100,100,100'", "seed": "random_seed=3", "no seed": "random_seed=0",
    "autobatch": "autobatch=1", "profiling": "profiling=0", "weight decay": "weight_decay=0.25",
    "shared parameters": "shared_parameters=True", "GPUs": "requested_gpus=0", "mask": "gpu_mask=[]", "nothing": "",
    "a seed and our own": "random_seed=3, threads=1", "by place": "None, 3",
}  # fmt: skip


@pytest.mark.few(each=3)
@pytest.mark.parametrize("name", DECIDES)
def test_a_setting_that_dynet_knows_decides_alone(name):
    """A command-line flag neither overrides the setting nor raises an error, even if malformed or unknown."""
    found = settings(f"dynet_config.set({DECIDES[name]})", "--dynet-seed", "9", "--dynet-autobatch", "--dynet-what")
    seed = 3 if "3" in DECIDES[name] else 0
    decay = 0.25 if "decay" in name else 0.0
    assert found == [seed, decay, int("threads" in DECIDES[name]), False]


OURS = ["threads=1", "tf32=False", "bf16='emulate'", "lstm_builder='vanilla'", "allow=['a.B']", "threads=1, tf32=False"]


@pytest.mark.few(each=5)
@pytest.mark.parametrize("given", OURS)
def test_our_own_settings_leave_the_command_line_in_force(given):
    found = settings(f"dynet_config.set({given})", "--dynet-seed", "9", "--dynet-weight-decay=0.5")
    assert found == [9, 0.5, int("threads" in given), True]
    assert "--dynet-autobatch takes 0 or 1" in settings(f"dynet_config.set({given})", "--dynet-autobatch", "--x")


def test_without_any_the_command_line_counts():
    assert settings("", "--dynet-seed", "9") == [9, 0.0, 0, True]


def test_settings_add_up():
    before = "dynet_config.set(random_seed=3); dynet_config.set(weight_decay=0.25); dynet_config.set(threads=1)"
    assert settings(before, "--dynet-seed", "9") == [3, 0.25, 1, False]


ASKING = ["dynet_config.set_gpu()", "dynet_config.set(requested_gpus=1)", "dynet_config.set(gpu_mask=[0, 1])"]


@pytest.mark.few(each=3)
@pytest.mark.parametrize("before", ASKING)
def test_a_gpu_that_is_not_there_is_an_error(before):
    hidden = f"from dynet_kernels.cuda import driver; driver.LIBRARY = 'no-such-library.so'; {before}"
    number = 1 if "mask" in before else 0
    assert f"DeviceError: GPU:{number} was asked for, but the NVIDIA driver is missing" in settings(hidden)
    taken_back = "dynet_config.set(requested_gpus=0, gpu_mask=[]); dynet_config.set_gpu(False)"
    assert settings(f"{hidden}; {taken_back}") == [0, 0.0, 0, False]


@pytest.fixture
def fresh(monkeypatch):
    """Reset `dynet_config` to the state in which nothing has been set."""
    monkeypatch.setattr(dynet_config, "_made_settings", {})
    monkeypatch.setattr(dynet_config, "_replaces_flags", False)
    monkeypatch.setattr(dynet_config._config, "PARAMS", dynet_config._config.DynetParams())
    monkeypatch.setattr(dynet_config._config, "settings_applied", False)


def test_get_gives_what_from_config_takes(fresh):
    assert dynet_config.get() is dynet_config.gpu() is None
    dynet_config.set(threads=1)
    assert dynet_config.get() is None
    dynet_config.set(mem=100, random_seed=3, shared_parameters=True)
    wanted = {
        "mem": 100, "seed": 3, "autobatch": 0, "profiling": 0, "weight_decay": 0, "shared_params": True,
        "requested_gpus": 0, "gpu_mask": [],
    }  # fmt: skip
    assert dynet_config.get() == wanted
    dynet_config.set_gpu()
    assert dynet_config.gpu() is True
    assert dynet_config.get() == wanted | {"requested_gpus": 1}
    dynet_config.set_gpu(False)
    assert dynet_config.gpu() is False
    params = dynet_config._config.DynetParams()
    params.from_config(dynet_config.get())
    assert (params.mem, params.random_seed, params.shared_parameters) == (100, 3, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight_decay": 2},
        {"mem": "much"},
        {"random_seed": "x"},
        {"gpu_mask": 3},
        {"threads": 1000},
        {"autobatch": "x"},
        {"own_classes": None},
        {"own_classes": "no"},
    ],
)
def test_a_wrong_setting_is_an_error_where_it_is_made_and_changes_nothing(fresh, wrong):
    before = dict(vars(dynet_config._config.PARAMS))
    with pytest.raises((ValueError, TypeError), match="set_"):
        dynet_config.set(**{"random_seed": 5, "lstm_builder": "vanilla", "weight_decay": 0.5} | wrong)
    assert vars(dynet_config._config.PARAMS) == before
    assert dynet_config.get() is None


def test_the_example(fresh):
    import doctest

    assert doctest.testmod(dynet_config).failed == 0
