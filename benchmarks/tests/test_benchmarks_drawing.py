"""The drawing shows every row that has a ratio, and needs matplotlib."""

import sys
from pathlib import Path

import pytest

import drawing
from competitors import Result, Row

RESULTS = [
    Result(Row("tagger", "tagger", 1), {"DyNet": 1000.0, "torch": 500.0, "JAX": None, "this project": 3000.0}, []),
    Result(Row("small", "small", 1), {"DyNet": None, "torch": None, "JAX": None, "this project": 10.0}, []),
]


def test_ratios():
    assert [result.ratio() for result in RESULTS] == [3.0, None]
    assert RESULTS[0].ratio("DyNet") == 3.0 and RESULTS[0].ratio("torch") == 6.0


def test_rows_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "table.svg"
    drawing.draw(RESULTS, path, "some CPU")
    text = path.read_text()
    assert "<svg" in text and "3.00" in text and "tagger, 1" in text and "small, 1" not in text
    drawing.draw(RESULTS, tmp_path / "again.svg", "some CPU")
    assert Path(tmp_path / "again.svg").read_text() == text


def test_without_matplotlib_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match="pip install matplotlib"):
        drawing.draw(RESULTS, tmp_path / "table.svg", "")
