"""`read_vectors`: files of word2vec and GloVe, damaged ones too."""

import gzip
import sys
import types
from typing import Any

import numpy as np
import pytest

import dynet as dy
from dynet_core import ArgumentTypeError, FileFormatError, MissingFileError, Vocabulary, read_vectors

WORDS = ["the", "cat", "naïve", "\U0001f600", "3", ".", "\xa0", "New_York"]
ARRAY = np.random.default_rng(1).normal(size=(len(WORDS), 5)).astype(np.float32)
ARRAY[1] = [0, -1.5, 1e-30, 3e38, 1]


def glove(words=WORDS, array=ARRAY, end="\n"):
    return "".join(f"{word} {' '.join(map(repr, map(float, row)))}{end}" for word, row in zip(words, array)).encode()


def header(array=ARRAY, count=None):
    return f"{len(array) if count is None else count} {array.shape[1]}\n".encode()


def binary(words=WORDS, array=ARRAY, end=b"\n"):
    return b"".join(word.encode() + b" " + row.astype("<f4").tobytes() + end for word, row in zip(words, array))


FORMATS = {
    "GloVe": glove(),
    "GloVe, other line ends": glove(end="\r\n"),
    "GloVe, spaces at the ends": glove(end=" \n"),
    "GloVe, no newline at the end": glove().removesuffix(b"\n"),
    "word2vec text": header() + glove(),
    "word2vec text, spaces": header().replace(b"\n", b" \r\n") + glove(end=" \n"),
    "word2vec binary": header() + binary(),
    "word2vec binary without newlines": header() + binary(end=b""),
}


@pytest.fixture
def write(tmp_path):
    def written(content):
        (tmp_path / "vectors").write_bytes(content)
        return tmp_path / "vectors"

    return written


def check(path, words=WORDS, array: Any = ARRAY, **options):
    found, numbers = read_vectors(path, **options)
    assert list(found) == list(words) and (found.unknown, found.padding) == (None, None)
    assert numbers.dtype == np.float32 and numbers.flags.writeable
    np.testing.assert_array_equal(numbers, array)


def in_small_parts(content):
    return b"".join(gzip.compress(content[k : k + 9]) for k in range(0, len(content), 9))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, in_small_parts])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_read(name, compress, write):
    path = write(compress(FORMATS[name]))
    check(path)
    check(str(path), binary="binary" in name)
    check(path, ["cat", "New_York"], ARRAY[[1, 7]], vocabulary=Vocabulary(["New_York", "dog", "cat"], unknown="u"))
    check(path, [], np.empty((0, 5)), vocabulary=Vocabulary())


@pytest.mark.parametrize("size", [1, 2, 300])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("compress", [bytes, in_small_parts])
def test_formats_are_told_apart(size, seed, compress, write):
    random = np.random.default_rng(seed)
    words, array = [f"w{k}" for k in range(50)], random.normal(size=(50, size)).astype(np.float32)
    check(write(compress(header(array) + glove(words, array))), words, array)
    if size > 1:
        check(write(compress(header(array) + binary(words, array))), words, array)
    check(write(compress(header(array) + binary(words, array))), words, array, binary=True)
    check(write(compress(glove(words, array))), words, array)


def test_a_vector_whose_bytes_look_like_text(write):
    array = np.frombuffer(b"1.5 2.5 ", "<f4").reshape(1, 2)
    path = write(header(array) + binary(["a"], array))
    check(path, ["a"], array, binary=True)
    check(path, ["a"], [[1.5, 2.5]], binary=False)


def test_words_with_spaces(write):
    words = [". . .", "at name@domain.com", "a b"]
    for content in (glove(["x", *words], ARRAY[:4]), header(ARRAY[:4]) + glove(["x", *words], ARRAY[:4])):
        check(write(content), ["x", *words], ARRAY[:4])


def test_numbers_are_rounded_as_float32(write):
    check(write(b"a 0.1 1e-50 -3.4028235e38 +.5 7\n"), ["a"], np.array([[0.1, 0, -3.4028235e38, 0.5, 7]], np.float32))


def test_a_model_takes_the_array(write):
    words, array = read_vectors(write(glove()))
    E = dy.Model().lookup_parameters_from_numpy(array)
    assert E[words["cat"]].npvalue().astype(np.float32).tolist() == ARRAY[1].tolist()
    assert read_vectors(write(b"0 3\n"))[1].shape == (0, 3)


NAN, LARGE = ARRAY.copy(), ARRAY.copy()
NAN[2, 3], LARGE[2, 3] = np.nan, np.inf
DAMAGED = {
    "empty": (b"", r"vectors, line 1: expected two sizes, or a word and its vector, found b''"),
    "a word": (b"the\n", r"line 1: expected two sizes, or a word and its vector, found b'the\\n'"),
    "size 0": (b"3 0\na\nb\nc\n", r"line 1: expected two sizes"),
    "a huge size": (b"1 99999999999\na " + bytes(100), "line 1: expected two sizes"),
    "too few numbers": (b"a 1 2 3\nb 1 2\n", r"line 2: expected a word and 3 finite numbers, found b'b 1 2\\n'"),
    "too many numbers": (b"a 1 2 3\nb 1 2 3 4\n", r"line 2: expected a word and 3 finite .*\(5 items\)"),
    "too many, header": (b"2 3\na 1 2 3\nb 1 -2e-3 3 4\n", "line 3: expected a word and 3 finite numbers"),
    "first line of text": (b"2 3\na 1 2\nb 1 2 3\n", "line 2: expected a word and 3 finite numbers"),
    "an empty line": (b"a 1 2 3\n\nb 1 2 3\n", "line 2: expected a word and 3 finite numbers"),
    "no number": (b"a 1 2 3\nb 1 x 3\n", "line 2: expected a word and 3 finite numbers"),
    "two spaces": (b"a 1 2 3\nb 1  3\n", "line 2: expected a word and 3 finite numbers"),
    "underscores": (b"a 1 2 3\nb 1 2 3_0\n", "line 2: expected a word and 3 finite numbers"),
    "nan": (b"a 1 2 3\nb 1 nan 3\n", "line 2: expected a word and 3 finite numbers"),
    "infinite": (b"a 1 2 3\nb 1 -inf 3\n", "line 2: expected a word and 3 finite numbers"),
    "too large": (b"a 1 2 3\nb 1 1e39 3\n", "line 2: expected a word and 3 finite numbers"),
    "no word": (b"a 1 2 3\n 1 2 3\n", "line 2: there is no word"),
    "not UTF-8": (b"a 1 2 3\nb\xff 1 2 3\n", r"line 2: b'b\\xff' is not UTF-8"),
    "twice": (b"2 3\na 1 2 3\na 1 2 3\n", "line 3: the word 'a' is in line 2 already"),
    "cut": (glove()[:-20], "line 8: expected a word and 5 finite numbers"),
    "fewer lines": (header(count=9) + glove(), "the first line says 9 words, there are 8"),
    "more lines": (header(count=7) + glove(), "the first line says 7 words, there are 8"),
    "no lines": (b"3 5\n", "the first line says 3 words, there are 0"),
    "binary, cut": (header() + binary()[:-3], "word 8: expected 5 finite numbers after the word b'.*New_York'"),
    "binary, cut in a word": (header() + binary()[:-25], "word 8: expected 5 finite numbers after the word"),
    "binary, fewer": (header(count=9) + binary(), "word 9: expected 5 finite numbers"),
    "binary, more": (header(count=7) + binary(), "the first line says 7 words, there are 7 or more"),
    "binary, nan": (header() + binary(array=NAN), "word 3: expected 5 finite numbers after the word"),
    "binary, infinite": (header() + binary(array=LARGE), "word 3: expected 5 finite numbers after the word"),
    "binary, twice": (header() + binary(["a"] * 8), "word 2: the word 'a' is in word 1 already"),
    "binary, no word": (header() + binary([""] * 8), "word 1: there is no word"),
    "binary, not UTF-8": (header() + binary().replace(b"cat", b"c\xfft"), r"word 2: b'c\\xfft' is not UTF-8"),
    "gzip, cut": (gzip.compress(glove())[:-12], "vectors: it is not complete or damaged: Compressed file ended"),
    "gzip, binary, cut": (gzip.compress(header() + binary())[:-4], "vectors: it is not complete or damaged"),
    "gzip, damaged": (b"\x1f\x8b\x08" + bytes(50), "vectors: it is not complete or damaged"),
    "gzip, other check sum": (gzip.compress(glove())[:-8] + bytes(8), "vectors: it is not complete or damaged"),
    "gzip, only its beginning": (b"\x1f\x8b", "vectors: it is not complete or damaged"),
}  # fmt: skip


@pytest.mark.parametrize("content, message", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files(content, message, write):
    path = write(content)
    with pytest.raises(FileFormatError, match=message):
        read_vectors(path)


def test_files_cut_anywhere_are_refused_or_shorter(write):
    """A text without a header may be cut after a line, or within its last number: nothing tells."""
    for content in (header() + binary(end=b""), gzip.compress(header() + glove()), header() + glove(["a"], ARRAY[:1])):
        for end in range(0, len(content) - 18, 3):
            with pytest.raises(FileFormatError):
                read_vectors(write(content[:end]))


def test_a_line_without_an_end_takes_little_memory(write):
    path = write(gzip.compress(b"a" + b" 1" * (1 << 24)))
    with pytest.raises(FileFormatError, match="line 1: expected two sizes"):
        read_vectors(path)


def test_other_arguments(write, tmp_path):
    wrong: Any = read_vectors
    path = write(glove())
    with pytest.raises(ArgumentTypeError, match=r"read_vectors: vocabulary must be a Vocabulary, not \['a'\]"):
        wrong(path, ["a"])
    with pytest.raises(ArgumentTypeError, match="read_vectors: a file is named by its path"):
        wrong(3)
    with pytest.raises(MissingFileError):
        read_vectors(tmp_path / "nothing")
    with pytest.raises(FileFormatError, match="line 1: expected two sizes"):
        read_vectors(path, binary=True)


def test_progress(write, monkeypatch):
    calls = []
    module = types.ModuleType("tqdm")
    monkeypatch.setitem(module.__dict__, "tqdm", lambda rows, **options: calls.append(options) or rows)
    monkeypatch.setitem(sys.modules, "tqdm", module)
    check(write(header() + glove()))
    assert [(call["total"], call["disable"]) for call in calls] == [(8, None)]
    monkeypatch.setitem(sys.modules, "tqdm", None)
    check(write(glove()))
    assert len(calls) == 1
