"""Structures in memory that compiled code shares with CPython and with Python code."""

from __future__ import annotations

from ..plain import Struct
from . import words


class Structure(Struct):
    """A structure whose words are listed in `words`, in a constant with the class's name: GRAPH for `Graph`."""

    def __init_subclass__(cls):
        cls.layout = getattr(words, cls.__name__.upper(), None) or cls.layout

    @property
    def address(self):
        return self.words.address


class List(Structure): ...


class Slice(Structure): ...


class Buffer(Structure): ...


class Expression(Structure): ...


class Function(Structure): ...


class Graph(Structure): ...


class Template(Structure): ...


class Shared(Structure): ...


class Row(Structure): ...


class Call(Structure): ...


class Guard(Structure): ...


class Patch(Structure): ...


class Result(Structure): ...
