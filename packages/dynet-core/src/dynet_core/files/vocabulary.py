"""`Vocabulary`: words and their numbers, saved among the objects of `dy.save`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Self

from ..annotations import Index
from ..checks import checked_indices, checked_list, whole
from ..errors import ArgumentError, ArgumentTypeError
from ..messages.wording import counted, printable, shown


class Vocabulary:
    """Words, numbered 0, 1, 2, ... It never changes.

    `vocabulary[word]` is the number of a word, such as its row in lookup parameters. `len`, `in` and iteration are
    those of the list of words. `dy.save` takes it among the objects, and in the `spec` of an object.

    Args:
        words: the words in the order of their numbers, each once.
        unknown: the word that stands for all words that are not in the vocabulary. Without it, they are an error.
        padding: a word for filling up shorter lists. If these two are not in `words`, they come first: padding, then
            unknown.

    Raises:
        ArgumentTypeError: `words` is a single string, or has something other than strings.
        ArgumentError: a word is there twice.

    >>> vocabulary = dy.Vocabulary(["the", "cat"], unknown="<unk>")
    >>> vocabulary["cat"], vocabulary["dog"], "dog" in vocabulary, list(vocabulary)
    (2, 0, False, ['<unk>', 'the', 'cat'])
    """

    def __init__(self, words: Iterable[str] = (), unknown: str | None = None, padding: str | None = None):
        given = _as_strings("Vocabulary", words)
        special = [word if word is None else _as_strings("Vocabulary", [word])[0] for word in (padding, unknown)]
        self._padding, self._unknown = special
        self._words = [w for w in dict.fromkeys(special) if w is not None and w not in given] + given
        self._indices = {word: index for index, word in enumerate(self._words)}
        if len(self._indices) < len(self._words):
            word, count = Counter(given).most_common(1)[0]
            raise ArgumentError(f"Vocabulary: the word {printable(word)!r} is there {count} times")

    @classmethod
    def from_sentences(
        cls,
        sentences: Iterable[str | Iterable[str]],
        min_count: Index = 1,
        max_size: Index | None = None,
        unknown: str | None = None,
        padding: str | None = None,
    ) -> Self:
        """Return the vocabulary of the words in sentences, the most frequent first.

        Args:
            sentences: lists of words, or the words themselves.
            min_count: how often a word must occur.
            max_size: the largest size of the vocabulary, which keeps the most frequent words; None for any size.
            unknown, padding: as for `Vocabulary`. They are in the vocabulary even if they do not occur, and come first.

        >>> list(dy.Vocabulary.from_sentences([["a", "b"], ["c", "b", "a"]], min_count=2, unknown="<unk>"))
        ['<unk>', 'a', 'b']
        """
        caller, counts = "Vocabulary.from_sentences", Counter[str]()
        if isinstance(sentences, str) or not isinstance(sentences, Iterable):
            raise ArgumentTypeError(f"{caller}: expected a list of lists of words, got {shown(sentences)}")
        for sentence in sentences:
            counts.update(_as_strings(caller, [sentence] if isinstance(sentence, str) else sentence))
        least, special = whole(caller, "min_count", min_count), {*cls((), unknown, padding)}
        frequent = [word for word, count in counts.most_common() if count >= least and word not in special]
        room = len(frequent) if max_size is None else whole(caller, "max_size", max_size) - len(special)
        if room < 0:
            raise ArgumentError(f"{caller}: max_size must be at least {len(special)}, got {max_size}")
        return cls(frequent[:room], unknown, padding)

    @property
    def unknown(self) -> str | None:
        """The word that stands for unknown words, or None."""
        return self._unknown

    @property
    def padding(self) -> str | None:
        """The word for filling up shorter lists, or None."""
        return self._padding

    def __getitem__(self, word: str) -> int:
        try:
            return self._indices[word]
        except (KeyError, TypeError):
            if not isinstance(word, str):
                raise ArgumentTypeError(f"Vocabulary: a word is a string, not {shown(word, 40)}") from None
            if self._unknown is None:
                problem = f"the word {printable(word)!r} is not in it, and it has no unknown word"
                raise ArgumentError(f"Vocabulary: {problem}: give unknown='<unk>'") from None
            return self._indices[self._unknown]

    def indices(self, words: Iterable[str]) -> list[int]:
        """Return the number of each word of a list."""
        return [self[word] for word in _as_strings("indices", words)]

    def word(self, index: Index) -> str:
        """Return the word with a number."""
        return self._words_at("word", [index])[0]

    def words(self, indices: Iterable[Index]) -> list[str]:
        """Return the word with each of the numbers."""
        return self._words_at("words", checked_list("words", indices, "numbers"))

    def _words_at(self, caller: str, indices: list[Any]) -> list[str]:
        found = checked_indices(caller, indices, len(self), "the vocabulary", "word") if indices else []
        return [self._words[index] for index in found]

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self._indices

    def __len__(self) -> int:
        return len(self._words)

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __repr__(self) -> str:
        special = f"unknown {self._unknown!r:.40}, padding {self._padding!r:.40}"
        return f"<{type(self).__name__}: {counted(len(self), 'word')}, {special}>"

    @property
    def spec(self) -> tuple[list[str], str | None, str | None]:
        """The words, the unknown word and the padding word, for `dy.save`."""
        return [*self._words], self._unknown, self._padding

    @classmethod
    def from_spec(cls, spec: tuple[list[str], str | None, str | None], model: object = None) -> Self:
        """Make a vocabulary like another one, from its `spec`. It has no parameters, so `model` is not used."""
        return cls(*spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.spec


def _as_strings(caller: str, words: Any) -> list[str]:
    """Return a list of words as strings of the class `str` itself: those of a derived class may run code in dicts."""
    given: list[Any] = [None] if isinstance(words, str) else checked_list(caller, words, "words")
    if not all(isinstance(word, str) for word in given):
        raise ArgumentTypeError(f"{caller}: expected a list of strings, the words, got {shown(words)}")
    return [*map(str.__str__, given)]
