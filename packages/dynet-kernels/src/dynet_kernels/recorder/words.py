"""Names of the words in the structures that compiled functions share with CPython and with Python code. Needs no TVM.

A word is 8 bytes. Each tuple of names describes one structure: the k-th name is the word at offset 8 * k. The compiled
recorder appends *records*, operations as integers, to the *graph* of a thread. Its *recording functions* are the ops.
"""

from __future__ import annotations

# Structures of CPython itself. Every object begins with the words of OBJECT.
OBJECT = ("references", "type")
LIST = (*OBJECT, "size", "items")
TUPLE = (*OBJECT, "size")  # the items of the tuple follow
SLICE = (*OBJECT, "start", "stop", "step")
BUFFER = ("begin", "object", "length", "item", "dims_and_flag", "format", "shape", "strides", "suboffsets", "internal")

# An expression. `at` is the number of the node in its graph, or -1 minus the row of a parameter; `version` is the
# version of its graph; `dim` is the address of its Dim (shape). An expression owns no references. Freed expressions
# form a linked list, from which new ones are taken; `at` is then the address of the next one.
EXPRESSION = (*OBJECT, "at", "version", "dim")
ANY_GRAPH = 0  # the `version` of parameters, which are valid in every graph
NO_NODE = -1  # the `version` of an expression object that is neither a node nor a parameter yet
WATCHED = -2  # the value of `open` of a graph in which compiled code must not record, so that Python sees each record

# A recording function: a callable object that appends an op to the graph. `slow` is the Python function for calls that
# compiled code cannot handle. `table` is a hash table of `mask` + 1 rows, of which `used` are taken, for the calls that
# it can handle. A row has `key` words that identify the call, and then the words of ROW. `parameters` is a tuple of the
# names of the parameters; `weak` is the list of weak references.
FUNCTION = (*OBJECT, "vectorcall", "slow", "table", "mask", "used", "key", "parameters", "name", "qualname", "weak")
# What the table says about a call: `signature` is the first integer of the record, or the address of a TEMPLATE;
# `result` is the address of the Dim of the new node; `limit` is a number whose meaning depends on the function, such as
# the bound of indices.
ROW = ("signature", "result", "limit")

MOST_ARGUMENTS = 6

# The graph of a thread. `version` changes when nodes are removed; `open` is `version`, or WATCHED. `records` is the
# buffer of the records: `length` integers, with room for `room`. `inputs` is the buffer of input values:
# `inputs_length` floats, with room for `inputs_room`. `outgrown` is a linked list of earlier buffers that were too
# small. They are freed when `renew_cg` empties the graph, because a pass may be reading one while a finalizer records.
GRAPH = (
    "open", "version",
    "length", "nodes", "inputs_length",  # adjacent, so that one copy reads all three at the same moment
    "records", "room", "inputs", "inputs_room", "outgrown",
    "done", "inputs_done",  # how many record integers and input values have been computed; always written together
    "planned",  # the number of record integers that the planner has turned into rows of its table of nodes
    "newest_key",  # the offset of the newest random node's key among the inputs, plus 1; 0: no random node. See KEY
    # The node that the last `backward` started from (-1: none), and whether it computed the gradients of all nodes.
    # They are always written together.
    "differentiated", "differentiated_fully",
    "object",  # the address of the Python object `Graph`
    "unusual", "watched",  # 1 if Python has to carry out `renew_cg`; 1 if Python has to discard values
    # For running passes without Python, valid while `prepared` equals the shared word `generation`: the addresses of
    # the planner's context and of its table of nodes, where values begin in memory, the number of record integers that
    # there is room for, and the two compiled passes.
    "prepared", "context", "node_rows", "values_begin", "most", "forward", "backward",
    *(f"argument_{place}" for place in range(2 * MOST_ARGUMENTS)),  # arguments of a pass: each a TVM type and a value
)  # fmt: skip

OPERATORS = ("add", "subtract", "multiply", "true_divide")
# Each operator has four functions: for two expressions, for an expression with a number to its right, for one with a
# number to its left, and the Python function for all other operands.
OPERATOR = ("pair", "right", "left", "slow")
SHARED = (
    "thread_graph",  # the key of the thread-local storage in which each thread keeps the address of its graph
    "newest",  # the graph version that was given out last, by any thread
    "generation",  # changes with the table of signatures and with parameters; then graphs must be prepared again
    "seed", "drawn",  # of the random nodes' keys: the seed, and how many keys have been drawn
    "passes",  # the number of backward passes so far, in all graphs
    "free", "free_count", "free_most",  # the linked list of freed expressions, its length, and the largest length
    # The addresses of Python types and other objects that compiled code has to recognise.
    "expression", "parameters", "constant", "lookup", "list", "tuple", "float", "int", "slice",
    "int64", "int32", "float64", "float32", "array",
    "none", "true", "false",
    "not_implemented",
    "refuse_new", "negative", "item", "stretch", "subscript",  # functions that the type slots of `Expression` call
    *(f"{operator}_{what}" for operator in OPERATORS for what in OPERATOR),
)  # fmt: skip

# A template is a copy of the records of an op, to append them again. It begins with the numbers of record integers,
# nodes, inputs and random keys. There follow the record integers, each as a pair of a kind and a number; the inputs,
# one float in a word; and for each random key its offset among these inputs.
TEMPLATE = ("length", "nodes", "inputs", "keys")
# Kinds of record integers in a template. LITERAL: the number is the integer itself. OPERAND, NODE, INPUT: the integer
# is the call's k-th operand, new node or new input, and the number is k.
LITERAL, OPERAND, NODE, INPUT = range(4)
TEMPLATE_KEY = 14  # words in the key of a template, which describes the arguments of a call

# The key of a random node, from which its random numbers follow. It is two int32 in the input buffer, in the place of
# floats. The int32 before them is the offset of the previous key plus 1, or 0.
KEY = ("seed", "count")

MOST_DIMS = 4  # arrays with more dimensions are left to Python
ARRAY_KEY = MOST_DIMS + 1  # words in the key of a call with an array: its number of dimensions, and their sizes

MOST_KEYED = 8  # in a list of at most this many operands, each Dim is in the key; in longer lists, all must be equal
LIST_KEY = MOST_KEYED + 1  # words in the key of a list: its length (for longer lists minus its length), and the Dims
FIRST_ROWS = 8  # rows of a new table
