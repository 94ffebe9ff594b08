"""Programs that request a GPU run on it, whichever way they request it."""

import subprocess
import sys
from pathlib import Path

import emulation
import pytest

import dynet.__main__

pytestmark = pytest.mark.skipif(emulation.COMPILER is None, reason="there is no g++ on this machine")
PROGRAM = """
{before}
import dynet as dy
{after}
from dynet_core.compute import device
weight = dy.ParameterCollection().parameters_from_numpy([[1, 2], [3, 1.000244140625]])
result = weight * dy.inputVector([1, 1.000244140625])  # 1 + 2 ** -12
print(device.name(), result.tensor_value().argmax().as_numpy().item(), result.vec_value()[1])
"""
FLAGS = [["--dynet-gpu"], ["--dynet-gpus", "1"], ["--dynet-gpu-ids", "0"], ["--dynet-devices", "CPU,GPU:0"]]
PARAMS = "params = dy.DynetParams(); params.set_requested_gpus(1); {}params.init()"


def output(directory, arguments=(), before="", after=""):
    """The output of the program on a machine with an emulated GPU."""
    script = directory / "program.py"
    script.write_text(PROGRAM.format(before=before, after=after))
    command = [sys.executable, Path(emulation.__file__).parent, script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "asking",
    [
        *({"arguments": flags} for flags in FLAGS),
        {"before": "import dynet_config; dynet_config.set_gpu()"},
        {"before": "import dynet_config; dynet_config.set(requested_gpus=1)"},
        {"after": PARAMS.format("")},
        {"after": "params = dy.DynetParams(); params.set_requested_gpus(1); dy.init_from_params(params)"},
    ],
)
def test_a_gpu_is_used(asking, tmp_path):
    name, place, value = output(tmp_path, **asking)
    assert (name, place) == ("GPU:0", "1") and float(value) > 4.0004


@pytest.mark.parametrize(
    "asking",
    [
        {"arguments": ["--dynet-gpu", "--dynet-tf32"]},
        {"before": "import dynet_config; dynet_config.set_gpu(); dynet_config.set(tf32=True)"},
        {"after": PARAMS.format("params.set_tf32(True); ")},
    ],
)
def test_tf32_is_used_where_it_is_asked_for(asking, tmp_path):
    assert output(tmp_path, **asking) == ["GPU:0", "1", "4.0"]


def test_the_cpu_is_used_otherwise(tmp_path):
    name, _, value = output(tmp_path, ["--dynet-tf32"])
    assert name == "CPU" and float(value) > 4.0004


def test_the_text_for_bug_reports_names_the_gpu():
    command = [sys.executable, Path(emulation.__file__).parent, dynet.__main__.__file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "\nGPU: emulated GPU (sm_90)\nGPU compiler: emulation" in done.stdout
