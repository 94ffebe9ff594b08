"""The language model learns from real sentences: held-out perplexity falls well below that of word frequencies."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "train.py"


@pytest.fixture
def treebank():
    try:
        metadata.distribution("turkish-treebanks")
    except metadata.PackageNotFoundError:
        pytest.skip("the package turkish-treebanks is not installed")


def output_of(*arguments):
    command = [sys.executable, str(SCRIPT), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_it_learns(treebank):
    first, *epochs, last = output_of("--limit", "500", "--epochs", "3")
    assert first.startswith("450 sentences to learn from, 50 held out")
    perplexities = [float(re.fullmatch(r"epoch \d: held-out perplexity (\S+)", line).group(1)) for line in epochs]
    unigram, lstm = map(float, re.fullmatch(r"unigram perplexity (\S+), LSTM perplexity (\S+)", last).groups())
    assert len(perplexities) == 3 and perplexities[-1] == lstm
    assert lstm < 0.85 * unigram
    assert lstm < perplexities[0]


def test_the_same_seed_gives_the_same_run(treebank):
    runs = [output_of("--limit", "60", "--epochs", "1", "--seed", seed) for seed in ("3", "3", "4")]
    assert runs[0] == runs[1] != runs[2]
