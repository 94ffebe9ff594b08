"""`--quick` names the rows that are slower than recorded, if a second measurement agrees."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import guard
from competitors import cpu_named

BENCHMARKS = Path(__file__).resolve().parents[1]
RECORDED = {"tagger at 1": 4.0, "xor at 1": 0.5}


def never(name):
    raise AssertionError(f"{name} is measured again")


def test_rows_as_recorded_pass():
    assert guard.check({"tagger at 1": 3.5, "xor at 1": 0.9, "small at 1": 0.1}, RECORDED, never) == []


def test_a_fall_is_named_with_its_figures():
    assert guard.check({"tagger at 1": 3.3, "xor at 1": 0.5}, RECORDED, lambda name: 3.2) == [
        "tagger at 1: the ratio to DyNet is 3.20, recorded is 4.00, at least 3.40"
    ]


def test_a_busy_moment_is_forgiven():
    again = iter([3.0, 3.9])
    assert guard.check({"tagger at 1": 2.0}, RECORDED, lambda name: next(again)) == []


def test_a_row_that_fails_has_fallen():
    (line,) = guard.check({"xor at 1": None}, RECORDED, lambda name: None)
    assert "could not be measured" in line


def test_records_are_kept(tmp_path, capsys):
    path = tmp_path / "recorded.json"
    assert guard.load(path, "this CPU") == {}
    assert "does not exist" in capsys.readouterr().err
    guard.record({"a at 1": 1.234, "b at 1": 2.0}, path, "this CPU")
    guard.record({"b at 1": 3.0, "c at 1": None}, path, "this CPU")
    assert guard.load(path, "this CPU") == {"a at 1": 1.23, "b at 1": 3.0}
    assert capsys.readouterr().err == ""


def test_what_a_cpu_lacks_is_held_to_the_least_of_the_others(tmp_path, capsys):
    path = tmp_path / "recorded.json"
    guard.record({"a at 1": 1.5, "b, c at 1": 2.0}, path, "this CPU")
    guard.record({"a at 1": 1.0}, path, "that CPU")
    assert guard.load(path, "this CPU") == {"a at 1": 1.5, "b, c at 1": 2.0}
    assert capsys.readouterr().err == ""
    assert guard.load(path, "that CPU") == guard.load(path, "a third") == {"a at 1": 1.0, "b, c at 1": 2.0}
    first, second = capsys.readouterr().err.splitlines()
    assert "on that CPU" in first and first.endswith("for these rows: b, c at 1")
    assert "on a third" in second and second.endswith("for all rows")


FAKE = """#!{python}
import json, sys
order = json.loads(sys.argv[3])
print(json.dumps({{"loss": None}}), flush=True)
for line in sys.stdin:
    print(json.dumps({{"sentences": 1000, "seconds": 1.0}}), flush=True)
"""


def quick(tmp_path, monkeypatch, recorded):
    """Return the result of `run.py --quick` for the row "small at 1", with a fake DyNet and these recorded ratios."""
    fake, path = tmp_path / "python", tmp_path / "recorded.json"
    fake.write_text(FAKE.format(python=sys.executable))
    fake.chmod(0o755)
    monkeypatch.setenv("DYNET_REFERENCE_PYTHON", str(fake))
    path.write_text(json.dumps({"a CPU": recorded}))
    options = ["--tasks", "small", "--seconds", "0.01", "--rounds", "1", "--quick", "--recorded", str(path)]
    command = [sys.executable, str(BENCHMARKS / "run.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("recorded, code", [(0.01, 0), (1e6, 1)])
def test_the_command_fails_where_a_ratio_fell(tmp_path, monkeypatch, recorded, code):
    result = quick(tmp_path, monkeypatch, {"small at 1": recorded})
    assert result.returncode == code, result.stderr
    assert ("small at 1: the ratio to DyNet is" in result.stderr) == bool(code)
    assert "not guarded" not in result.stderr


def test_rows_that_were_never_recorded_are_named(tmp_path, monkeypatch):
    result = quick(tmp_path, monkeypatch, {"xor at 1": 1e6})
    assert result.returncode == 0, result.stderr
    assert "not guarded (--record records it): small at 1\n" in result.stderr


def test_two_kinds_of_cpu_with_one_name_and_family_are_told_apart():
    lines = ["processor : 0", "model name : AMD EPYC", "cpu family : 25", "model : {}", "processor : 1"]
    zens = [cpu_named([line.format(model) for line in lines]) for model in (1, 17)]
    assert zens == ["AMD EPYC, family 25, model 1", "AMD EPYC, family 25, model 17"]


def test_a_cpu_that_says_nothing_has_a_name():
    assert cpu_named([])
