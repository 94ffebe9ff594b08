"""Handles of nodes, which serve again once the program holds them no more.

Most expressions are gone as soon as the next one has been made of them. To make an object and to free it costs as much
as all else that recording a node does, so each thread keeps a chain of handles, numbered as the nodes of a graph are: a
new graph begins at its head again. What the program still holds is told by the number of references: such a handle is
left alone for good, and a new one takes its place in the chain. CPython counts references exactly, in the first word
of an object, where compiled code reads what it takes Python fifteen times as long to ask for. Where references are not
counted, all handles are taken to be held.
"""

from __future__ import annotations

import array
import ctypes
import re
import sys
from typing import TYPE_CHECKING

from .expression import Expression

if TYPE_CHECKING:
    from .graph import Graph

FEW = 32  # handles, up to which Python asks for their references as quickly as compiled code is called
COUNT = 2048
"""Handles that a chain has at least. It grows with its graphs, and gives back what the last one used no quarter of."""


class Handles:
    """The chain of one thread's graph: each handle's `next` is the one after it, and `at` its number in `chain`."""

    __slots__ = ("_addresses", "_changing", "chain", "_graph", "_grown", "_head", "_others")

    def __init__(self, graph: Graph, count: int = COUNT):
        self._graph = graph
        self._changing = False  # whether the chain is being changed: an interrupt may leave it half changed
        self._addresses = array.array("q")  # of the handles
        self._others = array.array("q")  # what compiled code writes: how many are held, and their numbers
        self._head = Expression()  # comes before the first, to which it refers as each does to its next
        self.chain: list[Expression] = []
        self._lengthen(count)

    def begin(self, unused: Expression | None) -> Expression:
        """The first handle for the next graph, given the first that this one left unused (None: it used all)."""
        if self._changing:
            self._begin_anew()
            return self._head.next
        self._changing = True
        chain = self.chain
        count = len(chain) if unused is None else unused.at
        if count > FEW and STORED and self._graph.engine.machine:
            held = self._held(count)
            if held:
                gone = self._graph.left_behind()
                for number in held:
                    self._replace(number, gone)
        else:
            used = chain[:count]
            held = sum(map(references, used)) - FREE * count
            if held:
                if held == 1 and references(used[-1]) != FREE:  # nearly always: the loss
                    self._replace(count - 1, self._graph.left_behind())
                else:
                    self._replace_held(used)
        if self._grown and 4 * count < len(chain):
            kept = max(COUNT, 2 * count)
            del chain[kept:], self._addresses[kept:]
            chain[-1].next = None  # type: ignore[assignment]
            self._grown = len(chain) > COUNT
        self._changing = False
        return self._head.next

    def _begin_anew(self) -> None:
        """Leave all handles to the program, and make others: an interrupt has come between."""
        gone = self._graph.left_behind()
        for handle in self.chain:
            handle.graph, handle.next = gone, None  # type: ignore[assignment]
        self.__init__(self._graph)

    def _held(self, count: int) -> array.array:
        """The numbers of the first `count` handles that the program holds, as compiled code finds them."""
        others = self._others
        find_others = self._graph.engine.machine.find_others
        find_others(self._addresses.buffer_info()[0], count, STORED, others.buffer_info()[0])
        return others[1 : 1 + others[0]]

    def __getitem__(self, number: int) -> Expression:
        """The handle of a node of the current graph."""
        return self.chain[number]

    def take(self, unused: Expression | None, count: int) -> list[Expression]:
        """`count` handles that follow each other, the first of them `unused` (None: there is none left)."""
        begin = self.number_of(unused)
        end = begin + count
        if end > len(self.chain):
            self._lengthen(end - len(self.chain) + len(self.chain) // 2)
        return self.chain[begin:end]

    def number_of(self, unused: Expression | None) -> int:
        """The number of the first handle that a graph has left unused."""
        return len(self.chain) if unused is None else unused.at

    def _lengthen(self, count: int) -> None:
        self._changing = True
        chain, graph = self.chain, self._graph
        last = chain[-1] if chain else self._head
        for number in range(len(chain), len(chain) + count):
            new = Expression()
            new.at, new.graph = number, graph
            chain.append(new)
            last.next = new
            last = new
        last.next = None  # type: ignore[assignment]
        self._addresses.extend(map(id, chain[len(self._addresses) :]))
        self._others = array.array("q", bytes(8 * (len(chain) + 1)))
        self._grown = len(chain) > COUNT
        self._changing = False

    def _replace_held(self, used: list[Expression]) -> None:
        """Leave those of the first handles to the program that it still holds."""
        try:
            counts = bytes(map(references, used))
        except ValueError:  # more than a byte holds
            counts = bytes([min(count, 255) for count in map(references, used)])
        gone = self._graph.left_behind()
        for held in HELD.finditer(counts):
            self._replace(held.start(), gone)

    def _replace(self, number: int, gone: Graph) -> None:
        old, new = self.chain[number], Expression()
        new.at, new.graph, new.next = number, self._graph, old.next
        old.graph, old.next = gone, None  # type: ignore[assignment]
        self.chain[number] = new
        (self.chain[number - 1] if number else self._head).next = new
        self._addresses[number] = id(new)


references = getattr(sys, "getrefcount", lambda _: 1)
"""How many references there are to an object."""


def _free_count() -> int:
    """What `references` says of a handle in a list of handles that the program does not hold.

    0, which no handle has, if references are not counted exactly.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return 0
    handles = Handles(None, 4)  # type: ignore[arg-type]
    used = handles.chain[:]
    free = list(map(references, used))
    held = used[1]
    expected = [count + (handle is held) for count, handle in zip(free, used)]
    exact = len(set(free)) == 1 and list(map(references, used)) == expected and references(used[-1]) == free[0]
    return free[0] if exact and free[0] < 255 else 0


FREE = _free_count()
HELD = re.compile(b"[^%c]" % FREE, re.DOTALL)


def _stored_count() -> int:
    """The first word of a handle that is in a chain and that the program does not hold; 0 if it tells nothing."""
    if not FREE or sys.implementation.name != "cpython" or sys.maxsize < 1 << 32:
        return 0
    handles = Handles(None, 4)  # type: ignore[arg-type]
    chain, addresses = handles.chain, handles._addresses

    def words() -> list[int]:
        return [ctypes.c_int64.from_address(address).value for address in addresses]

    free = words()
    held = [chain[1], chain[3], chain[3]]
    counted = words() == [free[0] + held.count(handle) for handle in chain]
    return free[0] if counted and len(set(free)) == 1 else 0


STORED = _stored_count()
"""The same, as it is stored: its references alone."""
