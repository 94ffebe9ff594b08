"""Parity of calls with whole floats, bools, batch slices, empty vectors and devices."""

import pytest
from calls import COMPUTED, NO_DEVICE, OF_SIZE_0, TRUNCATED


@pytest.mark.parametrize("name", COMPUTED)
def test_value(name, both, assert_close):
    results = both("calls.py")
    assert "error" not in results.reference["computed"][name]
    assert_close(results.ours["computed"][name], results.reference["computed"][name])


@pytest.mark.parametrize("name", TRUNCATED)
def test_fractions_are_refused_that_dynet_cuts_off(name, both):
    results = both("calls.py")
    assert "value" in results.reference["truncated"][name]
    assert results.ours["truncated"][name]["error"][0] == "ArgumentError"


@pytest.mark.parametrize("name", OF_SIZE_0)
def test_nothing_is_refused_that_dynet_makes(name, both):
    results = both("calls.py")
    assert 0 in results.reference["of size 0"][name]["dims"]
    assert results.ours["of size 0"][name]["error"][0] in ("ArgumentError", "ShapeError")


@pytest.mark.parametrize("name", NO_DEVICE)
def test_devices_that_are_not_there_are_errors_of_one_kind(name, both):
    results = both("calls.py")
    ours, reference = results.ours["no device"][name]["error"], results.reference["no device"][name]["error"]
    assert ours[0] == "DeviceError"
    assert reference[0] in ours


@pytest.mark.parametrize("writer, reader", [("ours", "reference"), ("reference", "ours"), ("ours", "ours")])
def test_files_with_parameters_of_size_0_are_exchanged(writer, reader, run, tmp_path, assert_close):
    written = run(writer, "calls.py", "write", str(tmp_path))
    read = run(reader, "calls.py", "read", str(tmp_path))
    assert_close(read, written, rtol=1e-6, atol=1e-8)
