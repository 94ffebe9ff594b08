"""Writes or reads a parser whose spec has a vocabulary: vocabularies.py write|read FOLDER SEED."""

import collections
import inspect
import sys

import numpy as np
from report import report

import dynet_config

if "allow" in inspect.signature(dynet_config.set).parameters:
    dynet_config.set(allow=["__main__.Vocabulary", "__main__.Rule", "__main__.Span"])

import dynet as dy

Span = collections.namedtuple("Span", "left right")


class Vocabulary:
    """Words and their numbers, in a variety of Python and numpy containers."""

    def __init__(self, words):
        self.frozen = True
        self.words = list(words)
        self.indices = {word: index for index, word in enumerate(self.words)}
        self.counts = collections.Counter(words)
        self.suffixes = collections.defaultdict(list)
        for word in self.words:
            self.suffixes[word[-1]].append(word)
        self.order = collections.OrderedDict.fromkeys(reversed(self.words), 0)
        self.letters = [set(self.words), frozenset(self.words[0]), b"bytes", bytearray(b"more"), 1j, range(3)]
        self.vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
        self.transposed, self.dtypes = self.vectors.T, [np.dtype(kind) for kind in ("i8", "U3", ">f4", "?")]
        self.numbers = [np.float32(0.5), np.int64(3), np.bool_(True), np.str_("x")]
        self.itself = self

    def facts(self):
        assert self.itself is self
        letters = [sorted(self.letters[0]), sorted(self.letters[1]), *map(repr, self.letters[2:])]
        arrays = [[str(array.dtype), array.shape, array.tolist()] for array in (self.vectors, self.transposed)]
        numbers = [[type(number).__name__, str(number)] for number in self.numbers]
        counts = [sorted(self.counts.items()), dict(self.suffixes), self.suffixes.default_factory.__name__]
        rest = [self.frozen, self.words, self.indices, list(self.order), list(map(str, self.dtypes))]
        return [letters, arrays, numbers, counts, rest, type(self.counts).__name__, type(self.order).__name__]


class Rule:
    __slots__ = ("left", "span")

    def __init__(self, left, span):
        self.left, self.span = left, span


class Parser:
    def __init__(self, model, vocabulary, rules, size, activation, builder):
        self.spec = locals()
        del self.spec["self"], self.spec["model"]
        self.collection = model.add_subcollection("Parser")
        self.table = self.collection.add_lookup_parameters((len(vocabulary.words), size))
        self.network = builder(1, size, size, self.collection)

    def param_collection(self):
        return self.collection

    @classmethod
    def from_spec(cls, spec, model):
        return cls(model, **spec)


def main():
    action, folder, seed = sys.argv[1:4]
    dy.reset_random_seed(int(seed))
    model = dy.ParameterCollection()
    if action == "write":
        rules = [Rule("S", Span(0, [1, 2])), Rule("NP", Span(1, 2))]
        parser = Parser(model, Vocabulary(["the", "cat", "sat"]), rules, 4, dy.tanh, dy.GRUBuilder)
        dy.save(folder + "/parser", [parser])
    else:
        (parser,) = dy.load(folder + "/parser", model)
    spec = parser.spec
    everything = [*model.parameters_list(), *model.lookup_parameters_list()]
    report(
        {
            "vocabulary": spec["vocabulary"].facts(),
            "rules": [
                [type(rule).__name__, rule.left, type(rule.span).__name__, list(rule.span)] for rule in spec["rules"]
            ],
            "rest": [sorted(spec), spec["size"], spec["activation"] is dy.tanh, spec["builder"] is dy.GRUBuilder],
            "values": [[parameter.name(), parameter.as_array().tolist()] for parameter in everything],
        }
    )


if __name__ == "__main__":
    main()
