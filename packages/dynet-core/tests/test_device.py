"""Device information."""

import types

import pytest

from dynet_core import ArgumentTypeError, DeviceError, DeviceInfo, available_devices, get_device_info
from dynet_core.compute import device
from dynet_kernels.cuda import driver


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(device, "_gpu", types.SimpleNamespace(number=3))


@pytest.mark.parametrize("name", ["CPU", ""])
def test_the_cpu(name):
    assert available_devices() == ["CPU"]
    info = get_device_info(name)
    assert (info.name, info.id, info.type) == ("CPU", 0, -1)


def test_a_gpu(gpu):
    assert available_devices() == ["CPU", "GPU:3"]
    found = [vars(get_device_info(name)) for name in ("GPU:3", "", "CPU")]
    on_gpu = {"name": "GPU:3", "id": 1, "type": 3}
    assert found == [on_gpu, on_gpu, {"name": "CPU", "id": 0, "type": -1}]


@pytest.mark.parametrize("name, error", [("GPU:0", DeviceError), ("cpu", DeviceError), (3, ArgumentTypeError)])
def test_no_such_device(name, error):
    with pytest.raises(error, match="get_device_info"):
        get_device_info(name)


def test_info_is_what_it_is_made_of():
    assert vars(DeviceInfo("a", 2, 3)) == {"name": "a", "id": 2, "type": 3}


@pytest.mark.parametrize("there", [True, False])
def test_whether_there_is_a_driver(there, monkeypatch):
    def library():
        if not there:
            raise driver.NoDriverError("none")

    monkeypatch.setattr(driver, "_library", library)
    assert device.has_driver() is there
