"""docs/mistakes.md is true: each mistake raises the documented error, a few calls below the user's line."""

import re
import traceback
import warnings
from pathlib import Path

import pytest

import dynet
import dynet_core
import dynet_ops
import dynet_optim
import dynet_rnn

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "mistakes.md").read_text(encoding="utf-8")
BEFORE = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
MOST_CALLS = 5
RAISED_OUTSIDE = {"dy.sotfmax(x)", "np.random.choice(3, p=dy.softmax(dy.zeros(3)).npvalue())"}  # by Python, numpy
FOLDERS = [Path(package.__file__).parent for package in (dynet, dynet_core, dynet_ops, dynet_rnn, dynet_optim)]


def rows():
    """Each row's number, code, and message."""
    for line in TEXT.splitlines():
        if found := re.fullmatch(r"\| (\d+) \| (`.*`) \| (.*) \|", line):
            number, code, said = found.groups()
            yield int(number), "\n".join(code[1:-1].split("`<br>`")), said.replace("\\|", "|")


ROWS = list(rows())


def test_all_twenty_are_there_and_nothing_is_passed_over():
    assert list(dict.fromkeys(number for number, *_ in ROWS)) == list(range(1, 21))
    assert len(ROWS) == sum(line.startswith("| ") and line[2].isdigit() for line in TEXT.splitlines())


def pattern(said):
    return ".*".join(map(re.escape, said.split("...")))


def calls_of_the_library(error):
    """How many calls within the library are between a user's line and an error."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    return sum(any(file.is_relative_to(folder) for folder in FOLDERS) for file in files)


@pytest.mark.parametrize(("number", "code", "said"), ROWS, ids=[f"{number} {code[:40]}" for number, code, _ in ROWS])
def test_a_mistake_says_what_stands_there(number, code, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    exec(BEFORE, namespace)
    program, error = compile(code, "program.py", "exec"), None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        try:
            exec(program, namespace)
        except Exception as caught:
            error = caught
    if error is not None:
        assert re.fullmatch(pattern(said), f"{type(error).__name__}: {error}"), f"{type(error).__name__}: {error}"
        least = 0 if code in RAISED_OUTSIDE else 1
        assert least <= calls_of_the_library(error) <= MOST_CALLS
        assert not warned
    elif warned:
        (warning,) = warned
        shown = f"{warning.category.__name__}: {warning.message}"
        assert re.fullmatch(pattern(said), shown), shown
        assert warning.filename == "program.py"
    else:
        assert said == "works"


@pytest.mark.parametrize("code", [code for _, code, said in ROWS if said.startswith("DynetWarning")])
def test_a_line_is_warned_of_once(code, tmp_path):
    namespace = {"__name__": "__main__"}
    exec(BEFORE, namespace)
    program = compile(code, "program.py", "exec")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        for _ in range(3):
            exec(program, namespace)
    assert len(warned) == 1


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_what_a_number_is_needed_for_names_value(number):
    said = [said for row, code, said in ROWS if row == number and said != "works" and code not in RAISED_OUTSIDE]
    assert said and all("value()" in each for each in said)
