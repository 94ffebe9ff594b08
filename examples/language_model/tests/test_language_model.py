"""The language model learns from real sentences: held-out perplexity falls well below that of word frequencies."""

import re

import pytest


def test_it_learns(treebank, output_of):
    first, *epochs, last = output_of("--limit", "500", "--epochs", "3")
    assert first.startswith("450 sentences to learn from, 50 held out")
    perplexities = [float(re.fullmatch(r"epoch \d: held-out perplexity (\S+)", line).group(1)) for line in epochs]
    unigram, lstm = map(float, re.fullmatch(r"unigram perplexity (\S+), LSTM perplexity (\S+)", last).groups())
    assert len(perplexities) == 3 and perplexities[-1] == lstm
    assert lstm < 0.85 * unigram
    assert lstm < perplexities[0]


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_run(treebank, output_of):
    runs = [output_of("--limit", "60", "--epochs", "1", "--seed", seed) for seed in ("3", "3", "4")]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.mpi
def test_several_processes_learn(treebank, output_of, ranks_of):
    """Their dropout differs from that of one process, but not from run to run."""
    options = ["--limit", "100", "--epochs", "2"]
    alone, together = output_of(*options), ranks_of(2, *options)
    assert together == ranks_of(2, *options)
    first, second = (float(lines[-1].split()[-1]) for lines in (alone, together))
    assert first != second
    assert abs(first - second) < 0.1 * first
