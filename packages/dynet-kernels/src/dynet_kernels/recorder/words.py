"""Names of the words (8 bytes) in the structures that compiled code shares with CPython and Python. Needs no TVM."""

from __future__ import annotations

from ..layout import Structure

# Structures of CPython itself. Every object begins with the words of OBJECT.
OBJECT = Structure("references", "type")
LIST = Structure(*OBJECT, "size", "items")
ARRAY = Structure(*OBJECT, "data")  # the first words of a numpy array; `data` is the address of its first element
TUPLE = Structure(*OBJECT, "size")  # these words are followed by the addresses of the tuple's items
SLICE = Structure(*OBJECT, "first", "stop", "step")
# The structure Py_buffer. `flag_and_ndim` is two int32: a flag, then the number of dimensions in the upper half.
BUFFER = Structure(
    "begin", "object", "length", "item_size", "flag_and_ndim", "format", "shape", "strides", "suboffsets", "internal"
)

# An expression. For a node, `at` is its number in the graph, and `version` is the version of this graph. For a
# parameter, `at` is -1 minus its row in the table of parameters. `dim` is the address of the Dim. An expression owns no
# references. Freed expressions are kept in a linked list for reuse, in which `at` is the address of the next one.
EXPRESSION = Structure(*OBJECT, "at", "version", "dim")
ANY_GRAPH = 0  # the `version` of a parameter's expression, which is valid in every graph
NO_NODE = -1  # the `version` of an expression that stands for neither a node nor a parameter yet
WATCHED = -2  # `open` of a graph to which no fast path may append, because Python must see each record

# A recording function: a callable object that appends an op to the graph. `vectorcall` is the address of its compiled
# code. `slow` is the Python function for calls that compiled code cannot handle. `table` is the address of a hash table
# with a row for each kind of call that compiled code can handle. It has `mask` + 1 rows, of which `used` are taken. A
# row consists of the call's key, of `key_size` words, and the words of ROW. `parameters` is a tuple of the names of the
# function's parameters. `weakrefs` is a word in which CPython keeps the weak references. `pinned` is a bit set: if
# bit k is set, and item k of a call is a number, its value is part of the key. It is -1 except for users' functions.
FUNCTION = Structure(
    *OBJECT, "vectorcall", "slow", "table", "mask", "used", "key_size", "parameters", "name", "qualname", "weakrefs",
    "pinned",
)  # fmt: skip
# A row of the table. `signature` is the first integer of the record to append, or the address of a TEMPLATE. `result`
# is the address of the Dim of the expression to return. What `limit` is depends on the function: a bound, a size.
ROW = Structure("signature", "result", "limit")

MOST_PASS_ARGUMENTS = 6  # compiled functions that run a pass have at most this many arguments

# The graph of a thread. `version` changes when nodes are removed. `open` is equal to `version` if fast paths may append
# records; otherwise it is WATCHED. `nodes` is the number of nodes. `records` is the address of the buffer of records:
# it has `length` integers, and room for `room`. `inputs` is the address of the buffer of input values: it has
# `inputs_length` floats, and room for `inputs_room`. `outgrown` is a linked list of earlier, smaller buffers. They are
# freed only by `renew_cg`, because a finalizer may append a record, and so replace a buffer while a pass reads it.
GRAPH = Structure(
    "open", "version",
    "length", "nodes", "inputs_length",  # adjacent, so that one copy reads all three at the same moment
    "records", "room", "inputs", "inputs_room", "outgrown",
    # How many integers of the records, and how many input values, have been computed. Always written together.
    "done", "inputs_done",
    "planned",  # how many integers of records the planner has turned into rows of its table of nodes
    # The input that `set` last found in records that are not planned yet: the graph's version at that time, the offset
    # of the input's record, and the number of its node. If possible, the next search continues from there.
    "searched_version", "searched_offset", "searched_node",
    # An expression whose version is from `past_version` to `version` - 1 is also a node of this graph if its number is
    # less than `past_nodes`, because `cg_revert` has kept it. (It may have kept more nodes, which Python has to check.)
    "past_version", "past_nodes",
    "newest_random_key",  # the offset of the newest random key in the input buffer plus 1, or 0 if there is none
    # The number of the node from which the last backward pass started (-1: there was none), and what it computed.
    # 1: the gradients of all nodes; 0: only of those that depend on a parameter; REPEATED_MODE in
    # `dynet_core.graph.graph`: it was run by `repeat_backward`. Always written together.
    "differentiated", "differentiated_fully",
    "changes",  # how many times the thread has changed values of parameters, by updates or otherwise
    "begun",  # the value of `changes` when the first node of the graph was computed
    "seen",  # the value of `changes` when the newest node of the graph was computed
    "object",  # the address of the Python object `Graph`
    "unusual",  # 1 if Python has to carry out the next `renew_cg`, because it must do more than remove the records
    # 1 if only Python may discard values for recomputing: the graph has checkpoints, checks its values for infinities
    # and NaN, or computes each node when it is recorded.
    "has_watch",
    # For running passes without Python; valid while `prepared` equals the shared word `generation`. The addresses of
    # the planner's context and of its table of nodes; the address where values begin, in floats; how many integers of
    # records the planner has room for; and the TVM handles of the two compiled passes, and of the function that runs a
    # forward pass that was only planned.
    "prepared", "context", "node_rows", "values_begin", "planner_room", "forward", "backward", "run",
    # Memory for the arguments of a pass. Each argument takes two words: its TVM type and its value.
    *(f"argument_{k}" for k in range(2 * MOST_PASS_ARGUMENTS)),
)  # fmt: skip

OPERATORS = ("add", "subtract", "multiply", "true_divide")
# Each operator has three recording functions: for two expressions ("pair"), and for an expression with a number to its
# right or left. A Python function ("slow") handles all other operands.
OPERATIONS = (
    "negative", "item", "stretch", "subscript",
    *(f"{operator}_{what}" for operator in OPERATORS for what in ("pair", "right", "left", "slow")),
)  # fmt: skip
# The shared words, which exist once per process.
SHARED = Structure(
    "thread_graph",  # the key of the thread-local storage that has the address of each thread's graph
    "newest_version",  # the newest graph version of all threads; the next one is this number plus 1
    # Python increases `generation` when signatures or parameters change: graphs must then be prepared again. It also
    # sets `settled` to this number, unless the change is freezing or unfreezing, which matters only to planned graphs.
    "generation", "settled",
    "seed", "drawn",  # the seed for random keys (see RANDOM_KEY), and how many of them have been drawn
    "passes",  # the number of backward passes so far, in all graphs
    # A linked list of freed expressions that are kept for reuse, its length, and its maximum length.
    "free", "free_count", "free_most",
    # The addresses of Python types and other objects that compiled code has to recognize.
    "expression", "unfinished", "parameters", "constant", "lookup", "list", "tuple", "float", "int", "slice",
    "int64", "int32", "float64", "float32", "array",
    "none", "true", "false",
    # The addresses of the functions that the type slots of `Expression` call.
    "refuse_new", *OPERATIONS,
)  # fmt: skip

# The first words of a template. They count its integers of records, nodes, input values, random keys, and pairs of
# equal operands. They are followed by
# - the key of the call: its number of words, then the others;
# - the integers, each as a pair of a kind and a number;
# - the input values, each a word with the bits of a float32;
# - for each random key, its offset among these input values;
# - pairs of operands. The template can be used only if both operands of each pair are the same node.
# A template without nodes has one integer, of the kind OPERAND: this expression is the result of the call.
TEMPLATE = Structure("length", "nodes", "inputs", "random_keys", "equal_pairs")
# The kinds of integers to append, with the meaning of the pair's number k. LITERAL: the integer is k. OPERAND: the
# operand number of an expression among the call's arguments, where k is the number of the argument times
# 2 ** ITEM_BITS, plus the number of the item if the argument is a list. (For a function of the user's, k is the number
# of the node among the items of the call, times 2 ** ITEM_BITS; see `template_calls.Key`.) NODE: the number of the
# template's node k. INPUT: the offset of the template's input value k. All count from 0.
LITERAL, OPERAND, NODE, INPUT = range(4)
ITEM_BITS = 32
# What compiled code needs to repeat a call of a function (see `dynet_core.graph.functions`): the addresses of its
# template, and of `lists`, which has as many GUARDs, PATCHes and RESULTs as the next words say. `single` is 1 if the
# call returns the only result itself, not a tuple.
CALL = Structure("template", "lists", "guards", "patches", "results", "single")
# A guard: what the function read in `owner`, which must still be the object at address `expected`. ATTRIBUTE,
# DICT_ITEM: the attribute, or the item of a dict, with the name at address `name`. WORD: word number `name` of the
# owner itself. LIST_ITEM: item number `name` of a list.
GUARD = Structure("kind", "owner", "name", "expected")
ATTRIBUTE, DICT_ITEM, WORD, LIST_ITEM = range(4)
# A number among the arguments, numbered like operands by `item`. IN_RECORD: this int plus `change` replaces integer
# number `place` of the template. IN_INPUTS: times `change`, which is 1 or -1, it replaces input value `place`. CHECKED:
# it replaces nothing. An int must be from `least` to `most`, as must a CHECKED one.
PATCH = Structure("role", "item", "place", "change", "least", "most")
CHECKED, IN_RECORD, IN_INPUTS = range(3)
# A result: LITERAL, the object at address `value`; OPERAND, the argument with this number; NODE, a new node, of the Dim
# at address `dim`.
RESULT = Structure("kind", "value", "dim")
MOST_KEY_WORDS = 256  # the most words that the key of a template may have

# A node's random key, from which its random numbers are derived: two int32s in the input buffer, in place of floats.
# The int32 before them is the offset of the graph's previous random key plus 1, or 0 if there is none.
RANDOM_KEY = Structure("seed", "count")

MOST_DIMS = 4  # arrays with more dimensions are left to Python
# The size of the key of a call with an array or nested list. Its words are 1 plus the number of dimensions, and then
# MOST_DIMS sizes, padded with 0. If the last dimension is the batch, BATCH_FLAG is added to the first word.
ARRAY_KEY_SIZE = MOST_DIMS + 1
BATCH_FLAG = 8


def array_key(shape: tuple[int, ...], batched: bool = False) -> tuple[int, ...]:
    """Return the key of a call with an array or list of a shape, or with a number, whose shape is ()."""
    return (1 + len(shape) + BATCH_FLAG * batched, *shape, *[0] * (MOST_DIMS - len(shape)))


# The key of a call with a list of at most this many operands has the Dim of each operand. The operands of a longer list
# must all have the same Dim, which the key has once.
MOST_KEYED = 8
# The size of a key for a list. Its words are the list's length (negated if above MOST_KEYED) and Dims, padded with 0.
LIST_KEY_SIZE = MOST_KEYED + 1
NEW_TABLE_ROWS = 8  # the number of rows in the table of a new recording function
