"""The compiled recorder as loaded from the cache: its functions, and truncated object files."""

import numpy as np
import pytest

from dynet_kernels.cache.store import CacheError
from dynet_kernels.recorder import compiled, words


def test_the_functions_have_their_names():
    from dynet_kernels.recorder.c_functions import FUNCTIONS  # imports TVM

    shared = np.zeros(len(words.SHARED), np.int64)
    found, keys = compiled.load_functions(int(shared.ctypes.data))
    assert list(found) == list(keys) == list(FUNCTIONS)
    assert len({*found.values()}) == len(found) and all(found.values())


def test_words_have_different_names():
    for names in (words.LIST, words.TUPLE, words.SLICE, words.EXPRESSION, words.FUNCTION, words.GRAPH, words.SHARED):
        assert len(names) == len({*names})


def test_no_graph_has_the_version_of_what_is_no_node():
    special = [words.ANY_GRAPH, words.NO_NODE, words.WATCHED]
    assert len({*special}) == 3 and max(special) == 0  # graphs are numbered from 1


def test_a_table_begins_with_a_power_of_two_of_rows():
    assert words.NEW_TABLE_ROWS & (words.NEW_TABLE_ROWS - 1) == 0 < words.NEW_TABLE_ROWS


@pytest.mark.parametrize("content", [b"01234567890", b"0123456789012", b""])
def test_object_files_that_are_not_whole_are_not_loaded(content):
    with pytest.raises(CacheError, match="the compiled recorder is incomplete"):
        compiled._load(compiled.HEAD.pack(2, 4, 6) + content)
