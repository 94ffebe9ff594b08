"""Structures in memory that compiled code shares with CPython and with Python code; `words` names their words."""

from __future__ import annotations

from ..plain import Struct, Words
from . import words


class Structure(Struct):
    """A structure that has an address of its own, in bytes."""

    def __init__(self, address):
        super().__init__(Words(address))
        self.address = address


class List(Structure):
    layout = words.LIST


class Tuple(Structure):
    layout = words.TUPLE


class Slice(Structure):
    layout = words.SLICE


class Buffer(Struct):
    layout = words.BUFFER


class Expression(Structure):
    layout = words.EXPRESSION


class Function(Structure):
    layout = words.FUNCTION


class Graph(Structure):
    layout = words.GRAPH


class Template(Structure):
    layout = words.TEMPLATE


class Shared(Structure):
    layout = words.SHARED


class Row(Struct):
    layout = words.ROW
