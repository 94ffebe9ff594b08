"""The TreeLSTM learns from real trees: held-out accuracy rises well above that of the most frequent relation."""

import re

import pytest


def test_it_learns(treebank, output_of):
    first, *epochs, last = output_of("--limit", "400", "--epochs", "3")
    assert first == "360 sentences to learn from, 40 held out"
    accuracies = [float(re.fullmatch(r"epoch \d: held-out accuracy (\S+)", line).group(1)) for line in epochs]
    majority, tree = map(float, re.fullmatch(r"majority accuracy (\S+), TreeLSTM accuracy (\S+)", last).groups())
    assert len(accuracies) == 3 and accuracies[-1] == tree
    assert tree > majority + 0.25
    assert tree > accuracies[0]


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_run(treebank, output_of):
    runs = [output_of("--limit", "60", "--epochs", "1", "--seed", seed) for seed in ("3", "3", "4")]
    assert runs[0] == runs[1] != runs[2]
