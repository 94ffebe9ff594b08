"""CPython's vectorcall of recording functions: reads the arguments, runs the fast path, or calls the slow function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..plain import entry, plain
from .c_api import NULL, extern, need
from .extension import FUNCTIONS, CFunction, Entry, c_function
from .here import Items, graph_here, items_of_tuple
from .structures import Function, Shared
from .tables import is_one_of

# A mask for `nargsf` of a vectorcall: the number of positional arguments, without the flag in the highest bit.
COUNT_MASK = (1 << 63) - 1


def recording(*counts: int, key: int = 1, even_watched: bool = False, **kinds: Any) -> Callable[[Entry], Entry]:
    """Decorator: make a function an entry, the fast path of one kind of recording functions; `slow` does the rest.

    The path runs for calls whose number of arguments is in `counts`, or for any number if `counts` is empty. It is
    called as path(here, function, *arguments), or as path(here, function, arguments) with `Items` if the number of
    arguments varies. Keyword arguments count as positional if they are *in order*: their names are those of the
    parameters that follow the positional arguments, in the same order. `key` is how many words a key has. With
    `even_watched`, the path runs even if fast paths may not append to the graph. If several kinds share the path,
    `kinds` maps the name of each to the path's last argument. Otherwise the only kind has the path's name.
    """

    def declare(path: Entry) -> Entry:
        path = entry(path)

        def function_for(*last):
            @entry
            def run(shared_words: Shared, function_address, arguments, count, keywords):
                function = Function(function_address)
                total = count_arguments(function, count & COUNT_MASK, keywords)
                need(is_one_of(total, counts) if counts else total >= 0)
                items = Items(arguments, total)
                here = graph_here(shared_words, even_watched)
                return path(here, function, *(items.first(counts[0]) if len(counts) == 1 else [items]), *last)

            return CFunction(run, "dynet_slowly", key)

        FUNCTIONS.update({name: function_for(last) for name, last in kinds.items()} or {path.__name__: function_for()})
        return path

    return declare


@plain
def count_arguments(function: Function, positional_count, keywords):
    """Return the number of positional and keyword arguments, or -1 if the keywords are not in order."""
    if keywords == NULL:
        return positional_count
    return extern("dynet_count_in_order", function.address, positional_count, keywords)


@c_function("dynet_count_in_order")
def count_in_order(shared_words: Shared, function_address, positional_count, keywords):
    """Return the number of all arguments, or -1 if the keywords are not in order. `keywords` is a tuple's address."""
    names, parameters = items_of_tuple(keywords), items_of_tuple(Function(function_address).parameters)
    if parameters.size < positional_count + names.size:
        return -1
    for k in range(names.size):
        if names[k].address != parameters[positional_count + k].address:
            return -1
    return positional_count + names.size


@c_function("dynet_slowly")
def call_slow_function(shared_words: Shared, function_address, arguments, count, keywords):
    """Call the recording function's slow function. Pass keyword arguments that are in order by position."""
    function = Function(function_address)
    total = count_arguments(function, count & COUNT_MASK, keywords)
    if total >= 0:
        return extern("PyObject_Vectorcall", function.slow, arguments, total, NULL)
    return extern("PyObject_Vectorcall", function.slow, arguments, count, keywords)
