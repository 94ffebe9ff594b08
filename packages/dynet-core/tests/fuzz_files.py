"""Loads randomly damaged model files: each load must succeed completely or raise FileFormatError, in bounded memory.

Usage: fuzz_files.py [COUNT] [SEED]; `nox -s fuzz` runs it with 100,000 damaged files for each format.
"""

import collections
import enum
import random
import re
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

import dynet_core as dy
from dynet_core import config

FORMATS = ["text", "data", "meta", "specs", "safetensors"]
MOST_GROWTH = 300 << 20  # bytes of memory beyond what there was; the files have a few kilobytes
NUMBERS = [0, 1, 2, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32, 2**40, 2**63, 2**64 - 1, 10**18, 10**30, -1]
WORDS = [
    "nan",
    "inf",
    "-inf",
    "1e39",
    "1e-50",
    "x",
    "",
    " ",
    "\n",
    "\r\n",
    "#Parameter#",
    "#",
    "{",
    "}",
    "{2,2}",
    "\0",
    "é",
]
WORDS += ["FULL_GRAD", "ZERO_GRAD", "#LookupParameter#", "/_0", "__main__", "Layer", "os\nsystem\n", "_dynet"]
OPCODES = [
    b"cos\nsystem\n",
    b"\x8c\x02os\x94\x8c\x06system\x94\x93",
    b"(ios\nsystem\n",
    b"\x82\x01",
    b"Pid\n",
    b"q\x05",
]
OPCODES += [bytes([code]) for code in b"(.012NRQ]abdehjloqrstu})\x81\x85\x86\x87\x88\x8f\x90\x91\x92\x93\x94\x97"]
OPCODES += [b"h%c" % number for number in range(0, 200, 9)] + [b"K\x00", b"J\xff\xff\xff\xff", b"\x8c\x01a", b"C\x01a"]
FORBIDDEN = re.compile(
    r"os\.system|os\.(exec|fork|posix_spawn)|subprocess|exec|compile|import|ctypes|socket|pickle|marshal"
)


class Vocabulary:
    """An object stored in a spec."""

    def __init__(self):
        self.counts = collections.defaultdict(int, the=3, a=2)
        self.words, self.itself = ["the", "a"], self


class Words(dict):
    """A user-defined dict."""


class Slots:
    __slots__ = ("a", "b")


class Color(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")
ALLOWED = [Vocabulary, Words, Slots, Color, Point]


def everything() -> list:
    """Samples of every kind of value that a spec may hold."""
    words, slots = Words(a=1), Slots()
    words.frozen, slots.a = True, [words]
    plain = [
        None,
        True,
        1.5,
        10**20,
        "é",
        b"x",
        bytearray(b"y"),
        1j,
        range(3),
        slice(1),
        (1, (2,)),
        {1, (2, 3)},
        frozenset("ab"),
    ]
    arrays = [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 2), ">i2")), np.array(["a", None], object)]
    numbers = [np.float32(2), np.str_("é"), np.datetime64("2020-01-01"), np.dtype("U3"), np.array("ab")]
    kinds = [collections.OrderedDict(b=1), collections.Counter("abca"), collections.deque([1], 3), int, Vocabulary]
    return [plain, arrays, numbers, kinds, Vocabulary(), words, slots, Color.RED, {Point(1, 2): Point("a", [])}]


class Layer:
    """A user-defined object."""

    def __init__(self, model, size, layers, more=None):
        self.spec = (size, layers, more)
        self.collection = model.add_subcollection("layer")
        for _ in range(layers):
            self.collection.add_parameters((size, size))

    def param_collection(self):
        return self.collection

    @staticmethod
    def from_spec(spec, model):
        return Layer(model, *spec)


def new_model(value: float) -> dy.ParameterCollection:
    model = dy.ParameterCollection()
    model.add_parameters((2, 3), init=value)
    table = model.add_lookup_parameters((4, 2), init=value)
    part = model.add_subcollection("part")
    part.add_parameters(5, init=value)
    table._storage.set_gradient(table._storage.values.array * 0 + value)
    return model


class Target:
    """A file in one format, and a model that damaged copies of it are loaded into."""

    def __init__(self, form: str, folder: Path):
        self.form = form
        self.base = folder / form
        suffix = {"text": "", "data": ".data", "meta": ".meta", "specs": ".meta", "safetensors": ".safetensors"}[form]
        self.file = self.base.with_name(form + suffix)
        saved = new_model(0.5)
        if form in ("data", "meta", "specs"):
            layer = Layer(saved, 2, 2, everything() if form == "specs" else None)
            config.PARAMS.set_allow([Vocabulary])  # used as a value; saving would warn otherwise
            dy.save(self.base, [*saved.parameters_list(), layer, *saved.lookup_parameters_list()])
        else:
            saved.save(self.file)
        self.whole = self.file.read_bytes()
        self.model = new_model(7.0)
        self.before = self.facts()

    def facts(self) -> list:
        everything = self.model._all_parameters()
        names = dict(self.model._names), dict(self.model._collection_names)
        return [[(p.name(), p.as_array().tolist(), p.grad_as_array().tolist()) for p in everything], names]

    def load(self, content: bytes) -> bool:
        """Whether a damaged file was accepted. Its contents need not fit the model, which must then be unchanged."""
        self.file.unlink()  # overwriting a file on ext4 waits for the disk
        self.file.write_bytes(content)
        LOADING.append(self.form)
        try:
            if self.form in ("data", "meta", "specs"):
                dy.load(self.base, self.model, allow=ALLOWED)
            else:
                self.model.populate(self.file)
        except dy.FileFormatError:
            assert self.facts() == self.before, "half loaded"
            return False
        finally:
            LOADING.clear()
        self.model = new_model(7.0)
        return True


def damaged(whole: bytes, choose: random.Random) -> bytes:
    """A copy of the file with one to three random changes."""
    content = bytearray(whole)
    for _ in range(choose.choice([1, 1, 1, 2, 3])):
        at = choose.randrange(len(content) + 1)
        length = min(choose.choice([1, 1, 2, 4, 16, 100]), len(content) - at)
        kind = choose.randrange(8)
        if kind == 0:
            del content[at:]
        elif kind == 1 and length:
            content[choose.randrange(at, at + length)] ^= 1 << choose.randrange(8)
        elif kind == 2:
            content[at : at + length] = choose.randbytes(length)
        elif kind == 3:
            del content[at : at + length]
        elif kind == 4:
            content[at:at] = content[choose.randrange(len(content) + 1) :][:length]
        elif kind == 5:
            word = choose.choice(OPCODES) if choose.randrange(2) else choose.choice(WORDS).encode()
            content[at : at + length * choose.randrange(2)] = word
        elif kind == 6:
            _change_a_number(content, choose)
        elif len(content) >= 8:
            at = choose.randrange(len(content) - 7)
            size = choose.choice([1, 2, 4, 8])
            number = choose.choice(NUMBERS) % 256**size
            content[at : at + size] = number.to_bytes(size, "little")
    return bytes(content)


def _change_a_number(content: bytearray, choose: random.Random) -> None:
    found = [match.span() for match in re.finditer(rb"[0-9]+", content)]
    if found:
        start, end = choose.choice(found)
        content[start:end] = str(choose.choice(NUMBERS)).encode()


LOADING = []  # not empty while a file is read


def watch(event: str, arguments: tuple) -> None:
    """Raise an error for anything that loading a file must never do."""
    if LOADING and FORBIDDEN.match(event):
        raise SystemExit(f"a file led to {event} {arguments!r:.200}")


def fuzz(form: str, count: int, seed: int, folder: Path) -> int:
    """Load this many damaged files; return how many were accepted."""
    target, accepted = Target(form, folder), 0
    assert target.load(target.whole), "the whole file is not accepted"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        choose = random.Random(f"{form} {seed} {number}")
        content = damaged(target.whole, choose)
        try:
            accepted += target.load(content)
        except BaseException:
            print(f"{form}: mutation {number} of seed {seed}: {content!r}", file=sys.stderr)
            raise
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < MOST_GROWTH, f"{form}: memory grew by {grown >> 20} MB"
    return accepted


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for encoding in ("latin-1", "raw-unicode-escape", "unicode-escape", "ascii"):
        "".encode(encoding)  # imports the codec that reads it
    sys.addaudithook(watch)
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMATS:
            accepted = fuzz(form, count, seed, Path(folder))
            print(f"{form}: {count} damaged files, {accepted} of which still made sense", flush=True)


if __name__ == "__main__":
    main()
