import sys
from pathlib import Path

import pytest

TAGGER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TAGGER))

LEXICON = {
    "the": "DET",
    "a": "DET",
    "cat": "NOUN",
    "dog": "NOUN",
    "sees": "VERB",
    "hears": "VERB",
    ".": "PUNCT",
}
PATTERN = "{} {} {} {} {} ."


def conllu_text(sentences: list[str]) -> str:
    """CoNLL-U of sentences made of the lexicon's words."""
    blocks = []
    for sentence in sentences:
        rows = [
            f"{number}\t{word}\t_\t{LEXICON[word]}\t_\t_\t0\t_\t_\t_\n"
            for number, word in enumerate(sentence.split(), start=1)
        ]
        blocks.append("# text = " + sentence + "\n" + "".join(rows) + "\n")
    return "".join(blocks)


@pytest.fixture
def corpus(tmp_path):
    """A file of 32 sentences such as `the cat sees a dog .`"""
    nouns, verbs, articles = ("cat", "dog"), ("sees", "hears"), ("the", "a")
    sentences = [
        PATTERN.format(first, subject, verb, second, thing)
        for first in articles
        for subject in nouns
        for verb in verbs
        for second in articles
        for thing in nouns
    ]
    file = tmp_path / "corpus.conllu"
    file.write_text(conllu_text(sentences), "utf-8")
    return file
