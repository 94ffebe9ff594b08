"""Parity of saved models: each library reads the other's."""

import pytest


@pytest.mark.parametrize("writer, reader", [("ours", "reference"), ("reference", "ours"), ("ours", "ours")])
def test_saved_models_are_exchanged(writer, reader, run, tmp_path, assert_close):
    file = str(tmp_path / "model")
    written = run(writer, "saving.py", "write", file, "1")
    read = run(reader, "saving.py", "read", file, "2")
    assert_close(read, written, rtol=1e-6, atol=1e-8)
