"""Names of the words, of 8 bytes, in structures that compiled code shares with CPython and Python. Needs no TVM."""

from __future__ import annotations

from ..layout import Structure

# Structures of CPython itself. Every object begins with the words of OBJECT.
OBJECT = Structure("references", "type")
LIST = Structure(*OBJECT, "size", "items")
ARRAY = Structure(*OBJECT, "data")  # the first words of a numpy array; `data` is the address of its first element
TUPLE = Structure(*OBJECT, "size")  # these words are followed by the addresses of the tuple's items
SLICE = Structure(*OBJECT, "first", "stop", "step")
# The structure Py_buffer. `dims_and_flag` is two int32: a flag, then the number of dimensions in the upper half.
BUFFER = Structure(
    "begin", "object", "length", "item", "dims_and_flag", "format", "shape", "strides", "suboffsets", "internal"
)

# For a node, `at` is its number and `version` that of its graph; for a parameter, `at` is -1 minus its row. It owns no
# references. Freed expressions are kept in a linked list, in which `at` is the address of the next one.
EXPRESSION = Structure(*OBJECT, "at", "version", "dim")
ANY_GRAPH = 0  # the `version` of a parameter's expression, which is valid in every graph
NO_NODE = -1  # the `version` of an expression that stands for neither a node nor a parameter yet
WATCHED = -2  # the value of `open` of a graph to which no fast path may append, because Python must see each record

# `vectorcall` is the address of the compiled code, `slow` that of the Python function for all other calls. `table` has
# `mask` + 1 rows, of which `used` are taken: the `key` words that identify a call, then those of ROW. `parameters` is a
# tuple of names; `weak` is where CPython keeps the list of weak references.
FUNCTION = Structure(
    *OBJECT, "vectorcall", "slow", "table", "mask", "used", "key", "parameters", "name", "qualname", "weak"
)
# `signature` is the first integer of the record to append, or the address of a TEMPLATE. `result` is the address of the
# result's Dim. `limit` depends on the function, such as the bound of an index.
ROW = Structure("signature", "result", "limit")

MOST_ARGUMENTS = 6  # the compiled functions that run a pass have at most this many arguments

# `open` equals `version` if fast paths may append records, else it is WATCHED. `records` and `inputs` are addresses of
# buffers. `outgrown` ones are freed only when `renew_cg` empties the graph: while a pass reads a buffer, a finalizer
# may append a record, so that the buffer is replaced.
GRAPH = Structure(
    "open", "version",
    "length", "nodes", "inputs_length",  # these are adjacent, so that one copy reads all three at the same moment
    "records", "room", "inputs", "inputs_room", "outgrown",
    # How many integers of records and input values the forward passes have computed. Always written together.
    "done", "inputs_done",
    "planned",  # how many integers of records the planner has turned into rows of its table of nodes
    # The input that `set` last found in records that are not planned yet, where the next search goes on: the graph's
    # version then, the offset of its record, and its node's number.
    "searched_version", "searched", "searched_node",
    # An expression of a version from `past_version` to `version` - 1 also is a node of this graph if its number is less
    # than `past_nodes`: `cg_revert` left it. (For others that it left, Python has to check this.)
    "past_version", "past_nodes",
    "newest_key",  # where the newest random key (see KEY) is: its offset in the input buffer plus 1, or 0 for none
    # The node from which the last backward pass started, or -1; and 1 if it computed the gradients of all nodes, else 0
    # (Python writes other numbers, too). Always written together.
    "differentiated", "differentiated_fully",
    "changes",  # how many times the thread has changed values of parameters, by updates or in other ways
    "begun",  # the word `changes` when the first node of the graph was computed
    "seen",  # the word `changes` when the newest node of the graph was computed, as far as Python knows
    "object",  # the address of the Python object `Graph`
    "unusual",  # 1 if Python has to carry out the next `renew_cg`, because there is more to do than remove the records
    # 1 if only Python may discard values: with checkpoints, checks for infinities and NaN, or immediate computing.
    "watched",
    # What compiled code needs to run passes; valid while `prepared` equals `generation`. `values_begin` counts floats.
    # `most` is how many integers of records the planner has room for. The two passes are TVM handles.
    "prepared", "context", "node_rows", "values_begin", "most", "forward", "backward",
    # Memory for the arguments of a pass, each of two words: its TVM type and its value.
    *(f"argument_{place}" for place in range(2 * MOST_ARGUMENTS)),
)  # fmt: skip

OPERATORS = ("add", "subtract", "multiply", "true_divide")
# Recording functions for two expressions, a number to the right, and one to the left; in Python, for all else.
OPERATOR = ("pair", "right", "left", "slow")
SHARED = Structure(
    "thread_graph",  # the key of the thread-local storage in which each thread keeps the address of its graph's words
    "newest",  # the newest graph version of all threads; the next one is this number plus 1
    # Python increases `generation` when signatures or parameters change: graphs must be prepared again. It also sets
    # `settled` to this, unless a parameter is only frozen or unfrozen, which matters only to planned graphs.
    "generation", "settled",
    "seed", "drawn",  # the seed for random keys (see KEY), and how many of them have been drawn
    "passes",  # the number of backward passes so far, in all graphs
    # Freed expressions that are kept for reuse: a linked list, its length, and the most it may have.
    "free", "free_count", "free_most",
    # The addresses of Python types and other objects that compiled code has to recognize.
    "expression", "unfinished", "parameters", "constant", "lookup", "list", "tuple", "float", "int", "slice",
    "int64", "int32", "float64", "float32", "array",
    "none", "true", "false",
    "not_implemented",
    # The addresses of the functions that the type slots of `Expression` call.
    "refuse_new", "refuse_operator", "negative", "item", "stretch", "subscript",
    *(f"{operator}_{what}" for operator in OPERATORS for what in OPERATOR),
)  # fmt: skip

# The counts of a template's integers, nodes, input values, random keys and equal operands. Then follow the key of the
# call, its length first; the integers, as pairs of a kind and a number; the input values, each a word with the bits of
# a float32; each random key's offset among them; and pairs of operands that must be the same node. A template without
# nodes has one integer, an OPERAND: this expression is the result.
TEMPLATE = Structure("length", "nodes", "inputs", "keys", "equal")
# What the number k of a pair says. LITERAL: the integer is k. OPERAND: k is the number of an argument times 2 **
# ITEM_BITS, plus the number of the item if it is a list. NODE, INPUT: node or input value k of those that the template
# adds. All count from 0.
LITERAL, OPERAND, NODE, INPUT = range(4)
ITEM_BITS = 32
TEMPLATE_KEY = 64  # the most words that the key of a template may have; it describes the arguments of a call

# A node's random key, from which its random numbers are derived: two int32s stored where floats would be.
KEY = Structure("seed", "count")

MOST_DIMS = 4  # arrays with more dimensions are left to Python
# The key of an array or nested list: 1 plus the number of dimensions, plus BATCHED if the last is the batch; sizes, or
# 0.
ARRAY_KEY = MOST_DIMS + 1
BATCHED = 8


def array_key(shape: tuple[int, ...], batched: bool = False) -> tuple[int, ...]:
    """Return this key for an array, list or number of a shape."""
    return (1 + len(shape) + BATCHED * batched, *shape, *[0] * (MOST_DIMS - len(shape)))


# A list of at most this many operands has the Dim of each in its key; a longer one must have one Dim for all.
MOST_KEYED = 8
# The length of the list (with a minus sign if it is more than MOST_KEYED), and the Dims. Unused words are 0.
LIST_KEY = MOST_KEYED + 1
FIRST_ROWS = 8  # how many rows the table of a new recording function has
