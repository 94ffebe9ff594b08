"""Calls by CPython's vectorcall: the arguments of a recording function, and the Python function that does the rest."""

from __future__ import annotations

from collections.abc import Callable

from ..plain import entry, plain
from .c_api import NULL, extern, need
from .extension import FUNCTIONS, CFunction, Entry, c_function
from .here import Items, behind, graph_here
from .structures import Function, Shared, Tuple
from .tables import is_one_of

# In a call by CPython's vectorcall, the argument `nargsf` is the number of positional arguments, plus a flag in the
# highest bit. This mask removes the flag.
COUNT = (1 << 63) - 1


def recording(*counts: int, name: str = "", key: int = 1, anywhere: bool = False) -> Callable[[Entry], Entry]:
    """Decorator: make a function an entry, the path of a kind of recording functions.

    Their `slow` serves calls for which the path has no result.

    Keyword arguments are treated as positional ones if they are *in order*: if their names are the names of the
    parameters that follow the positional arguments, in the same order.

    The path is called as path(here, function, *arguments); or as path(here, function, arguments), with the arguments as
    `Items`, if their number varies.

    Args:
        counts: the path runs for calls with one of these numbers of arguments. If none is given, with any number.
        name: the name of the kind; by default that of the path.
        key: how many words a key has.
        anywhere: whether the path also runs if fast paths may not append to the graph.
    """

    def declare(path: Entry) -> Entry:
        path = entry(path)
        FUNCTIONS[name or path.__name__] = CFunction(of_call(path, counts, anywhere), "dynet_slowly", key)
        return path

    return declare


def of_call(path: Callable, counts: tuple[int, ...], anywhere: bool) -> Callable:
    @entry
    def run(shared: Shared, function_at, arguments, count, keywords):
        function = Function(function_at)
        given = count_all(function, count & COUNT, keywords)
        need(is_one_of(given, counts) if counts else given >= 0)
        items = Items(arguments, given)
        here = graph_here(shared, anywhere)
        if len(counts) == 1:
            return path(here, function, *items.first(counts[0]))
        else:  # noqa: RET505
            return path(here, function, items)

    return run


@plain
def count_all(function: Function, count, keywords):
    """Return the number of all arguments, or -1 if there are keyword arguments that are not in order."""
    if keywords == NULL:
        return count
    return extern("dynet_count_in_order", function.address, count, keywords)


@c_function("dynet_count_in_order")
def count_in_order(shared: Shared, function_at, count, keywords):
    """Return the number of all arguments, or -1 if the keyword arguments are not in order.

    Args:
        count: the number of positional arguments.
        keywords: the address of a tuple with the names of the keyword arguments.
    """
    names = Tuple(keywords)
    parameters = Function(function_at).parameters
    if parameters == NULL or Tuple(parameters).size < count + names.size:
        return -1
    given, known = Items(behind(keywords), names.size), Items(behind(parameters), 0)
    for place in range(names.size):
        if given[place].address != known[count + place].address:
            return -1
    return count + names.size


@c_function("dynet_slowly")
def slowly(shared: Shared, function_at, arguments, count, keywords):
    """Call the recording function's `slow`, a Python function. Keyword arguments in order are passed by position."""
    function = Function(function_at)
    if keywords != NULL:
        given = count_all(function, count & COUNT, keywords)
        if given >= 0:
            return extern("PyObject_Vectorcall", function.slow, arguments, given, NULL)
    return extern("PyObject_Vectorcall", function.slow, arguments, count, keywords)
