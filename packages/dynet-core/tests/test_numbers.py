"""Text form of numbers: written byte for byte like DyNet's, and read back bit for bit."""

import numpy as np
import pytest

from dynet_core import FileFormatError
from dynet_core.files.text_format import numbers_as_text, read_numbers


def text_of(values) -> bytes:
    return b"".join(numbers_as_text(np.asarray(values, np.float32)))


def bits(values) -> list[int]:
    return np.asarray(values, np.float32).view(np.uint32).tolist()


def all_kinds() -> np.ndarray:
    generator = np.random.default_rng(1)
    chosen = [
        generator.integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32),
        generator.standard_normal(50_000).astype(np.float32),
        (np.arange(50_000) / 1024).astype(np.float32),  # exact decimals, including ties
        (2.0 ** np.arange(-149, 128)).astype(np.float32),
        (10.0 ** np.arange(-45, 39)).astype(np.float32),
        np.array([0, -0.0, 1e-45, -1e-45, 3.4028235e38, -3.4028235e38, 9.99999999e9, 0.1], np.float32),
    ]
    values = np.concatenate(chosen)
    return values[np.isfinite(values)]


def test_the_text_is_that_of_printf():
    values = all_kinds()
    assert text_of(values) == b"".join(b"%+.8e " % value for value in values.tolist())


def test_every_finite_number_comes_back_bit_for_bit():
    values = all_kinds()
    assert bits(read_numbers(text_of(values) + b"\n", len(values), "x")) == bits(values)


def test_infinities_and_nan_come_back():
    values = np.array([1, np.inf, -np.inf, np.nan, -2], np.float32)
    text = text_of(values)
    assert len(text) == 16 * 5
    np.testing.assert_array_equal(read_numbers(text, 5, "x"), values)


@pytest.mark.parametrize("line", [b"1 -2.5 3e2", b"1\t-2.5  3E+2 \r\n", b"+1.00000000e+00 -2.5 300\n"])
def test_numbers_in_other_forms_are_read(line):
    line += b"" if line.endswith(b"\n") else b"\n"
    assert read_numbers(line, 3, "x").tolist() == [1, -2.5, 300]


@pytest.mark.parametrize(
    "line",
    [
        b"+1.00000000e+00 \n",  # one number missing
        b"+1.00000000e+00 +1.00000000e+00 +1.00000000e+00 \n",
        b"+1.00000000e+00 +1.0000x000e+00 \n",
        b"+1.00000000e+00 +1.00000000e+39 \n",  # beyond float32
        b"+1.00000000e+00 +9.00000000e+38 \n",
        b"1_0 2\n",
        b"1 2,5\n",
        b"0x10 1\n",
        b"",
        b"\n",
    ],
)
def test_what_is_not_two_numbers_is_refused(line):
    with pytest.raises(FileFormatError):
        read_numbers(line, 2, "x")


@pytest.mark.parametrize("cut", range(1, 17))
def test_a_number_cut_off_by_the_end_of_the_file_is_noticed(cut):
    whole = text_of([1.5, 2.5])
    if cut == 1:  # only the last space is missing
        assert read_numbers(whole[:-cut], 2, "x").tolist() == [1.5, 2.5]
    else:
        with pytest.raises(FileFormatError):
            read_numbers(whole[:-cut], 2, "x")
