"""The reader of dependency trees that the examples share."""

import importlib.util
import io
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
    pytest.importorskip("conllu")
    assert list(treebank.sentences_of(io.StringIO(LINES))) == [
        [("vamos", "VERB", -1, "root"), ("nos", "PRON", 0, "obj")],
        [("Mar", "NOUN", -1, "root")],
    ]


WORD = "1\tMar\tmar\tNOUN\t_\t_\t0\troot\t_\t_\n"


@pytest.fixture
def written(tmp_path):
    pytest.importorskip("conllu")

    def write(content):
        file = tmp_path / "some.conllu"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.mark.parametrize("text", [LINES, LINES + "\n", LINES.replace("\n", "\r\n"), "\ufeff" + LINES, "\n\n" + LINES])
def test_line_ends_and_marks_make_no_difference(written, text):
    assert [[word.form for word in sentence] for sentence in treebank.read_file(written(text))] == [
        ["vamos", "nos"],
        ["Mar"],
    ]


@pytest.mark.parametrize(
    "content, reason",
    [
        ("", "holds no sentence"),
        ("# only a comment\n\n", "holds no sentence"),
        ("This is a letter.\n", "sentence 1: .*tabs"),
        (WORD + "\n" + WORD.replace("\t_\n", "\n"), "sentence 2: expected 10 columns separated by tabs, found 9"),
        (WORD + "\n" + WORD.replace("1", "one", 1), "sentence 2: .*'one' is not a valid ID"),
        (WORD.replace("1\tMar", "1\t"), "sentence 1: word 1 has no form or no tag"),
        (WORD.replace("NOUN", "_"), "sentence 1: word 1 has no form or no tag"),
        (WORD.replace("\t0\t", "\t7\t"), "sentence 1: word 1 has the head 7, and there are 1 words"),
        (WORD.encode() + b"\n\xff\xfe\n", "not UTF-8"),
    ],
)
def test_what_is_wrong_and_where(written, content, reason):
    file = written(content)
    with pytest.raises(treebank.CorpusError, match=reason) as caught:
        treebank.read_file(file)
    assert str(caught.value).startswith(str(file)) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(treebank.CorpusError, match="there is no such file"):
        treebank.read_file(tmp_path / "nowhere.conllu")
    with pytest.raises(treebank.CorpusError, match="cannot be read"):
        treebank.read_file(tmp_path)


def test_held_out_sentences_are_others():
    sentences = list(range(100))
    training, held_out = treebank.split(sentences, 50, seed=1)
    assert (len(training), len(held_out)) == (45, 5)
    assert len({*training, *held_out}) == 50
    assert treebank.split(sentences, 50, seed=1) == (training, held_out) != treebank.split(sentences, 50, seed=2)
    assert sorted(sum(treebank.split(sentences, None, seed=1), [])) == sentences


def test_every_sentence_of_the_treebank_is_a_tree():
    pytest.importorskip("conllu")
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
