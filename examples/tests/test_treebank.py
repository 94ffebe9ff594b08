"""The reader of dependency trees that the examples share."""

import importlib.util
from importlib import metadata
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[1] / "treebank.py"
SPEC = importlib.util.spec_from_file_location("treebank", FILE)
treebank = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(treebank)

LINES = """\
# sent_id = 1
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tgone\t_\tVERB\t_\t_\t_\t_\t_\t_

1\tMar\tmar\tNOUN\t_\t_\t0\troot\t_\t_
"""


def test_words_heads_and_relations():
    assert list(treebank.sentences_of(LINES.splitlines(True))) == [
        [("vamos", "VERB", -1, "root"), ("nos", "PRON", 0, "obj")],
        [("Mar", "NOUN", -1, "root")],
    ]


def test_held_out_sentences_are_others():
    sentences = list(range(100))
    training, held_out = treebank.split(sentences, 50, seed=1)
    assert (len(training), len(held_out)) == (45, 5)
    assert len({*training, *held_out}) == 50
    assert treebank.split(sentences, 50, seed=1) == (training, held_out) != treebank.split(sentences, 50, seed=2)
    assert sorted(sum(treebank.split(sentences, None, seed=1), [])) == sentences


def test_every_sentence_of_the_treebank_is_a_tree():
    try:
        metadata.distribution(treebank.PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"the package {treebank.PACKAGE} is not installed")
    sentences = treebank.read()
    assert len(sentences) > 4000
    for sentence in sentences:
        reached = [node for node, word in enumerate(sentence) if word.head < 0]
        for node in reached:  # grows meanwhile
            reached += [child for child, word in enumerate(sentence) if word.head == node]
        assert sorted(reached) == list(range(len(sentence)))
