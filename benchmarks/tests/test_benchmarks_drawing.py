"""The drawing shows every row that has a ratio, and needs matplotlib."""

import sys
from pathlib import Path

import pytest

import drawing
from competitors import OURS, Competitor, Result, Row, with_bfloat16

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


def test_this_project_in_bfloat16_is_compared_with_peers_only():
    competitors = with_bfloat16([Competitor("torch", ["python"], "torch"), Competitor("JAX", ["python"], "jax"), OURS])
    names = [competitor.name for competitor in competitors]
    assert names == ["torch", "torch, bf16", "JAX", "this project", "here, bf16"]
    assert [competitor.flags for competitor in competitors] == [[], ["--dynet-bf16"], [], [], ["--dynet-bf16"]]
    assert Result(RESULTS[0].row, dict(zip(names, [1.0, 2.0, 1.0, 9.0, 6.0])), []).ratio() == 3.0
