"""A part-of-speech tagger: word and character vectors, a bidirectional LSTM, a small MLP for each word."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import dynet as dy

Sentence = list[tuple[str, str]]
"""The words of a sentence, each as (form, tag)."""

WORD_DIM = 64
CHAR_DIM = 32
CHAR_HIDDEN = 32
HIDDEN = 64
MLP_HIDDEN = 32
UNKNOWN = 0
"""Row of the tables that stands for every word or character outside the vocabulary."""


@dataclass
class Vocabulary:
    """What the tables' rows stand for: row i + 1 is `words[i]` or `chars[i]`; tag i is `tags[i]`."""

    words: list[str]
    chars: list[str]
    tags: list[str]

    def __post_init__(self) -> None:
        self.word_row = {word: row for row, word in enumerate(self.words, start=UNKNOWN + 1)}
        self.char_row = {char: row for row, char in enumerate(self.chars, start=UNKNOWN + 1)}
        self.tag_index = {tag: index for index, tag in enumerate(self.tags)}

    @classmethod
    def of(cls, sentences: Iterable[Sentence]) -> Vocabulary:
        """Words seen once get no vector of their own: they teach the tagger to rely on the characters."""
        pairs = [pair for sentence in sentences for pair in sentence]
        counts = Counter(word for word, _ in pairs)
        return cls(
            words=[word for word, count in counts.items() if count > 1],
            chars=sorted({char for word in counts for char in word}),
            tags=sorted({tag for _, tag in pairs}),
        )


class Tagger:
    """The network and its vocabulary.

    A word enters as its own vector followed by the last states of two LSTMs over its characters, forwards and
    backwards; a bidirectional LSTM reads the sentence; an MLP scores the tags of each word.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.parameters = parameters = dy.ParameterCollection()
        self.words = parameters.add_lookup_parameters((len(vocabulary.words) + 1, WORD_DIM))
        self.chars = parameters.add_lookup_parameters((len(vocabulary.chars) + 1, CHAR_DIM))
        self.spell_forward = dy.VanillaLSTMBuilder(1, CHAR_DIM, CHAR_HIDDEN, parameters)
        self.spell_backward = dy.VanillaLSTMBuilder(1, CHAR_DIM, CHAR_HIDDEN, parameters)
        self.reader = dy.BiRNNBuilder(1, WORD_DIM + 2 * CHAR_HIDDEN, 2 * HIDDEN, parameters, dy.VanillaLSTMBuilder)
        self.hidden_weight = parameters.add_parameters((MLP_HIDDEN, 2 * HIDDEN))
        self.hidden_bias = parameters.add_parameters(MLP_HIDDEN)
        self.tag_weight = parameters.add_parameters((len(vocabulary.tags), MLP_HIDDEN))
        self.tag_bias = parameters.add_parameters(len(vocabulary.tags))

    def loss(self, sentences: Sequence[Sentence]) -> dy.Expression:
        """The summed negative log likelihood of the sentences' tags, in a new graph."""
        losses = []
        for sentence, scores in zip(sentences, self.scores([words_of(s) for s in sentences])):
            for (_, tag), word_scores in zip(sentence, scores):
                losses.append(dy.pickneglogsoftmax(word_scores, self.vocabulary.tag_index[tag]))
        return dy.esum(losses)

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The best tag of each word of each sentence."""
        scores = [column for sentence in self.scores(sentences) for column in sentence]
        best = iter(dy.concatenate_cols(scores).npvalue().argmax(axis=0))
        return [[self.vocabulary.tags[next(best)] for _ in sentence] for sentence in sentences]

    def scores(self, sentences: Sequence[Sequence[str]]) -> list[list[dy.Expression]]:
        dy.renew_cg()
        # A word that comes again in the graph is spelt once.
        vectors = {word: self.word_vector(word) for sentence in sentences for word in sentence}
        return [
            [self.tag_scores(state) for state in self.reader.transduce([vectors[word] for word in sentence])]
            for sentence in sentences
        ]

    def word_vector(self, word: str) -> dy.Expression:
        char_row = self.vocabulary.char_row
        chars = [self.chars[char_row.get(char, UNKNOWN)] for char in word]
        return dy.concatenate(
            [
                self.words[self.vocabulary.word_row.get(word, UNKNOWN)],
                self.spell_forward.initial_state().transduce(chars)[-1],
                self.spell_backward.initial_state().transduce(reversed(chars))[-1],
            ]
        )

    def tag_scores(self, state: dy.Expression) -> dy.Expression:
        hidden = dy.tanh(dy.affine_transform([self.hidden_bias, self.hidden_weight, state]))
        return dy.affine_transform([self.tag_bias, self.tag_weight, hidden])

    def save(self, file: Path) -> None:
        """Write the parameters to `file` and the vocabulary to `file`.json."""
        self.parameters.save(str(file))
        vocabulary_file(file).write_text(json.dumps(asdict(self.vocabulary), ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, file: Path) -> Tagger:
        """The tagger that `save` wrote."""
        tagger = cls(Vocabulary(**json.loads(vocabulary_file(file).read_text("utf-8"))))
        tagger.parameters.populate(str(file))
        return tagger


def words_of(sentence: Sentence) -> list[str]:
    return [word for word, _ in sentence]


def vocabulary_file(file: Path) -> Path:
    return file.with_name(file.name + ".json")
