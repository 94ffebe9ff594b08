"""`Vocabulary`: words, numbers and files."""

import copy
import pickle
import random
from typing import Any

import numpy as np
import pytest

import dynet as dy
from dynet_core import ArgumentError, ArgumentTypeError, FileFormatError, OutOfRangeError, Vocabulary


def same(x, y):
    assert (list(x), x.unknown, x.padding) == (list(y), y.unknown, y.padding)
    assert [x[word] for word in x] == list(range(len(x)))


def test_numbers_and_words():
    v = Vocabulary(["the", "cat", "", "a b\n"])
    assert (len(v), list(v), v["cat"], v["a b\n"]) == (4, ["the", "cat", "", "a b\n"], 1, 3)
    assert v.indices(["cat", "the", "cat"]) == [1, 0, 1] and v.indices(iter(["the"])) == [0] and v.indices([]) == []
    assert v.word(3) == "a b\n" and v.words([1, 0]) == ["cat", "the"] and v.words(np.array([2])) == [""]
    assert v.words([]) == [] and v.words(range(2)) == ["the", "cat"]
    assert "cat" in v and "dog" not in v and 1 not in v and [] not in v
    assert (v.unknown, v.padding) == (None, None) and len(Vocabulary()) == 0


def test_the_unknown_word():
    v = Vocabulary(["a", "b"], unknown="<unk>")
    assert (list(v), v["c"], v["<unk>"], v["b"], v.indices("xby".split("b"))) == (["<unk>", "a", "b"], 0, 0, 2, [0, 0])
    v = Vocabulary(["a", "?"], unknown="?")
    assert (list(v), v["c"], v.unknown) == (["a", "?"], 1, "?")
    assert "c" not in v


def test_where_the_special_words_are():
    assert list(Vocabulary(["a"], unknown="u", padding="p")) == ["p", "u", "a"]
    assert list(Vocabulary(["a", "p"], unknown="u", padding="p")) == ["u", "a", "p"]
    both = Vocabulary(["a"], unknown="x", padding="x")
    assert (list(both), both.unknown, both.padding) == (["x", "a"], "x", "x")


def test_it_never_changes():
    words = ["a", "b"]
    v = Vocabulary(words)
    words.append("c")
    v.spec[0].append("d")
    assert list(v) == ["a", "b"]
    for change in (
        lambda: setattr(v, "unknown", "a"),
        lambda: setattr(v, "padding", "a"),
        lambda: ANY.__setitem__(v, "a", 1),
    ):
        with pytest.raises(AttributeError):
            change()


def test_strings_of_other_classes_become_strings():
    v = Vocabulary(np.array(["a", "b"]), unknown=np.str_("u"))
    assert {*map(type, v)} == {str} and type(v.unknown) is str and v[np.str_("b")] == 2


def test_words_of_sentences():
    assert list(Vocabulary.from_sentences([["a", "b", "a"], ("c", "b"), iter(["a", "d"]), []])) == ["a", "b", "c", "d"]
    sentences = [["a", "b", "a"], ["c", "b", "d"]]
    assert list(Vocabulary.from_sentences(sentences, min_count=2)) == ["a", "b"]
    assert list(Vocabulary.from_sentences(sentences, max_size=3)) == ["a", "b", "c"]
    assert list(Vocabulary.from_sentences(sentences, 2, 2, unknown="u", padding="p")) == ["p", "u"]
    assert list(Vocabulary.from_sentences(sentences, 1, 3, unknown="b")) == ["b", "a", "c"]
    assert list(Vocabulary.from_sentences(["one", "two", "two"])) == ["two", "one"]
    assert list(Vocabulary.from_sentences([])) == [] and list(Vocabulary.from_sentences([["a"]], 1, 0)) == []


def test_words_of_one_count_are_in_the_order_of_the_text():
    words = [str(k) for k in range(100)]
    random.Random(1).shuffle(words)
    assert list(Vocabulary.from_sentences([words])) == words


ANY: Any = Vocabulary  # called as type checkers would not let it
REFUSED = {
    "a string": (lambda: ANY("abc"), ArgumentTypeError, "Vocabulary: expected a list of strings.* got 'abc'"),
    "a number": (lambda: ANY(3), ArgumentTypeError, "Vocabulary: expected a list of words, got int 3"),
    "numbers": (lambda: ANY(["a", 3]), ArgumentTypeError, r"expected a list of strings.*got \['a', 3\]"),
    "bytes": (lambda: ANY([b"a"]), ArgumentTypeError, r"expected a list of strings.*got \[b'a'\]"),
    "unknown": (lambda: ANY(["a"], unknown=0), ArgumentTypeError, r"expected a list of strings.*got \[0\]"),
    "padding": (lambda: ANY(["a"], padding=["a"]), ArgumentTypeError, r"strings.*got \[\['a'\]\]"),
    "twice": (lambda: ANY(["a", "b\n", "b\n"]), ArgumentError, r"the word 'b\\+n' is there 2 times"),
    "no unknown": (lambda: ANY(["a"])["b"], ArgumentError, "the word 'b' is not in it.*give unknown='<unk>'"),
    "indices": (lambda: ANY(["a"]).indices(["a", "b"]), ArgumentError, "the word 'b' is not in it"),
    "number as a word": (lambda: ANY(["a"], "a")[0], ArgumentTypeError, "a word is a string, not 0"),
    "list as a word": (lambda: ANY(["a"], "a")[["a"]], ArgumentTypeError, r"a word is a string, not \['a'\]"),
    "a text": (lambda: ANY(["a"], "a").indices("a b"), ArgumentTypeError, "indices: expected a list of strings"),
    "no word": (lambda: ANY(["a"]).word(1), OutOfRangeError, "word: word 1 is out of range for the vocabulary"),
    "negative": (lambda: ANY(["a"]).word(-1), OutOfRangeError, "word: word -1 is out of range"),
    "no words": (lambda: ANY(["a"]).words([0, 9]), OutOfRangeError, "words: word 9 is out of range"),
    "words of none": (lambda: ANY(["a"]).words(None), ArgumentTypeError, "words: expected a list of numbers"),
    "word as a number": (lambda: ANY(["a"]).word("a"), ArgumentTypeError, "word: an index must be an int"),
    "a sentence": (lambda: ANY.from_sentences("a b"), ArgumentTypeError, "a list of lists of words, got 'a b'"),
    "no sentences": (lambda: ANY.from_sentences(None), ArgumentTypeError, "a list of lists of words, got None"),
    "other words": (lambda: ANY.from_sentences([[["a"]]]), ArgumentTypeError, r"sentences: expected a list"),
    "counts": (lambda: ANY.from_sentences([3]), ArgumentTypeError, "from_sentences: expected a list of words"),
    "small": (
        lambda: ANY.from_sentences([["a"]], 1, 1, "u", "p"), ArgumentError, "max_size must be at least 2, got 1"
    ),
    "special lists": (lambda: ANY.from_sentences([], unknown=[1]), ArgumentTypeError, r"strings.*got \[\[1\]\]"),
    "negative size": (lambda: ANY.from_sentences([["a"]], 1, -1), ArgumentError, "must be at least 0, got -1"),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


WORDS = ["the", "two words", "tab\t", " space ", "\u2028line", "\x00", "\ufeffbom", "\U0001f600", "\x85"]
ANY_WORDS = [*WORDS, "", "\n", "a\r\nb", "\ud800"]


def test_copies():
    v = Vocabulary(ANY_WORDS, unknown="u", padding="p")
    for other in (copy.copy(v), copy.deepcopy(v), pickle.loads(pickle.dumps(v)), Vocabulary.from_spec(v.spec)):
        same(other, v)


@pytest.mark.parametrize("special", [{}, {"unknown": "u"}, {"unknown": "u", "padding": "\n"}], ids=repr)
def test_a_model_is_saved_with_its_vocabulary(special, tmp_path):
    v, m = Vocabulary(ANY_WORDS, **special), dy.Model()
    E = m.add_lookup_parameters((len(v), 2))
    lstm = dy.VanillaLSTMBuilder(1, 2, 3, m)
    dy.save(tmp_path / "model", [E, v, lstm, v])
    E2, v2, lstm2, v3 = dy.load(tmp_path / "model", dy.Model())
    same(v2, v)
    same(v3, v)
    assert (E2.as_array() == E.as_array()).all() and lstm2.spec == lstm.spec
    m.save(tmp_path / "components", components=[v, E])
    same(dy.Model().load(tmp_path / "components")[0], v)
    dy.save(tmp_path / "alone", [v])
    same(dy.load(tmp_path / "alone", dy.Model())[0], v)


class Tagger:
    def __init__(self, spec, m):
        self.spec, self.m = spec, m.add_subcollection("tagger")
        self.W = self.m.add_parameters(2)

    def param_collection(self):
        return self.m

    @staticmethod
    def from_spec(spec, m):
        return Tagger(spec, m)


def test_a_spec_holds_vocabularies(tmp_path):
    words, tags = Vocabulary(ANY_WORDS, unknown="u"), Vocabulary(["N", "V"])
    dy.save(tmp_path / "model", [Tagger((words, {"tags": [tags, tags]}), dy.Model())])  # a warning would be an error
    (tagger,) = dy.load(tmp_path / "model", dy.Model())
    loaded, others = tagger.spec
    same(loaded, words)
    same(others["tags"][0], tags)
    assert others["tags"][0] is others["tags"][1]


class Forged:
    """Pickled as a call of Vocabulary with other arguments."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return Vocabulary, self.arguments


class Text(str):
    pass


RIGHT = ["a"], None, None
RIGHT_AS_SPECS = [(), (["a"],), (["a"], None), (("a",), None, None)]  # from_spec takes them


@pytest.mark.parametrize(
    "arguments",
    [
        RIGHT, (), (["a"],), (["a"], None), (["a"], None, None, None), (("a",), None, None), ("ab", None, None),
        (["a", 3], None, None), ([["a"]], None, None), (["a", "a"], None, None), (["a"], 3, None),
        ([Text("a")], None, None),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("place", ["the spec", "within the spec"])
def test_forged_files(arguments, place, tmp_path):
    dy.save(tmp_path / "model", [Tagger((Vocabulary(["a"]),), dy.Model())])
    forged = (Vocabulary, arguments, "") if place == "the spec" else (Tagger, (Forged(*arguments),), "/tagger/")
    content = pickle.dumps(forged, 4).replace(b"dynet_core.files.vocabulary", b"_dynet")
    content = content.replace(b"\x8c\x1b_dynet", b"\x8c\x06_dynet")
    (tmp_path / "model.meta").write_bytes(content)
    if arguments is RIGHT or place == "the spec" and arguments in RIGHT_AS_SPECS:
        dy.load(tmp_path / "model", dy.Model())
        return
    m = dy.Model()
    with pytest.raises(FileFormatError):
        dy.load(tmp_path / "model", m)
    assert m.parameters_list() == []


def test_a_file_that_uses_one_list_of_words_again_and_again(tmp_path):
    dy.save(tmp_path / "model", [Vocabulary(["a"])])
    words = [f"word {k}" for k in range(2000)]
    content = pickle.dumps((Tagger, [Forged(words, None, None) for _ in range(2000)], ""), 2)
    content = content.replace(b"cdynet_core.files.vocabulary\n", b"c_dynet\n")
    (tmp_path / "model.meta").write_bytes(content)
    with pytest.raises(FileFormatError, match="it copies the same data again and again"):
        dy.load(tmp_path / "model", dy.Model())


def test_repr():
    assert repr(Vocabulary(["a", "b"])) == "<Vocabulary: 2 words, unknown None, padding None>"
    assert repr(Vocabulary(["\n"], "\n", "p")) == r"<Vocabulary: 2 words, unknown '\n', padding 'p'>"
