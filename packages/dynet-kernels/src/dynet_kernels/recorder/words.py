"""Where things stand in the memory that compiled functions, CPython and the graph share. Needs no TVM.

Everything is a word of 8 bytes.
"""

from __future__ import annotations

# CPython's own: every object begins with OBJECT.
OBJECT = ("references", "type")
LIST = (*OBJECT, "size", "items")
TUPLE = (*OBJECT, "size")  # the items follow
SLICE = (*OBJECT, "start", "stop", "step")
BUFFER = ("begin", "object", "length", "item", "dims_and_flag", "format", "shape", "strides", "suboffsets", "internal")

# `at` is the node's number in its graph, or -1 minus the row of a parameter; `dim` the address of its Dim. An
# expression owns nothing, so to free it is to keep it for the next one: `at` is the address of the next free one then.
EXPRESSION = (*OBJECT, "at", "version", "dim")
ANY_GRAPH = 0  # the version of parameters
NO_NODE = -1  # the version of what is neither a node nor a parameter
WATCHED = -2  # `open` of a graph in which the fast paths do not record

# A recording function. `slow` is the Python function that does what is unusual. A table of `mask` + 1 rows, of which
# `used` are taken, holds the signatures known so far; a row is `key` words, and then the words of ROW. `parameters` is
# a tuple of names; `weak` refers to weak references.
FUNCTION = (*OBJECT, "vectorcall", "slow", "table", "mask", "used", "key", "parameters", "name", "qualname", "weak")
# `signature` is the place of the node's signature in the table, or the address of a template. `result` is the address
# of the node's Dim. `limit` is a number that depends on the function, such as the bound of indices.
ROW = ("signature", "result", "limit")

MOST_ARGUMENTS = 6

# What a thread has recorded. `open` is `version`, or WATCHED. `records` are `length` integers, `inputs` are
# `inputs_length` floats; there is room for `room` and `inputs_room`. Memory that they have outgrown is freed when the
# graph is renewed: a pass may be reading it while a finalizer records. These buffers form a chain (`memory.py`).
GRAPH = (
    "open", "version",
    "length", "nodes", "inputs_length",  # read together
    "records", "room", "inputs", "inputs_room", "outgrown",
    "done", "inputs_done",  # how many integers and floats have been computed; written together
    "planned",  # of how many integers the planner's rows hold
    "newest_key",  # where among the inputs the newest key of a random node stands, plus 1; 0 for none: see KEY
    "differentiated", "differentiated_fully",  # the node that `backward` started from last, -1: none; written together
    "object",  # the address of the Python object
    "unusual", "watched",  # whether more has to be done to renew it; and to forget its values
    # What passes need, which is valid while `prepared` equals the shared `generation`: the addresses of the planner's
    # context and of its rows of nodes, where values begin, how many integers of records it has room for, and its two
    # functions.
    "prepared", "context", "node_rows", "values_begin", "most", "forward", "backward",
    *(f"argument_{place}" for place in range(2 * MOST_ARGUMENTS)),  # of the call: pairs of a type and a value
)  # fmt: skip

OPERATORS = ("add", "subtract", "multiply", "true_divide")
# An operator is four functions: of two expressions, of an expression and a number, of a number and an expression, and
# the Python function for the rest.
OPERATOR = ("pair", "right", "left", "slow")
SHARED = (
    "thread_graph",  # the key under which each thread keeps the address of its graph
    "newest",  # the version that was given last
    "generation",  # changes with the table of signatures and with parameters: graphs have to be prepared for it
    "seed", "drawn",  # of the keys of random nodes: how many have been drawn
    "passes",  # how many backward passes there have been, of all graphs
    "free", "free_count", "free_most",  # expressions to be used again
    # addresses of Python's objects
    "expression", "parameters", "constant", "lookup", "list", "tuple", "float", "int", "slice",
    "int64", "int32", "float64", "float32", "array",
    "none", "true", "false",
    "not_implemented",
    "refuse_new", "negative", "item", "stretch", "subscript",  # functions for the slots of `Expression`
    *(f"{operator}_{what}" for operator in OPERATORS for what in OPERATOR),
)  # fmt: skip

# What an operation has recorded, so that it can be recorded again. These counts are followed by the record's integers,
# each after its kind, by the bits of its inputs, one input in a word, and by the numbers of the inputs that begin keys.
TEMPLATE = ("length", "nodes", "inputs", "keys")
LITERAL, OPERAND, NODE, INPUT = range(4)  # itself; an operand, a new node or a new input by its number among these
TEMPLATE_KEY = 14  # words of a key

# A key of a random node: integers that are stored in the place of floats. The integer before them is the place of the
# previous key, in the form of `newest_key`.
KEY = ("seed", "count")

MOST_DIMS = 4  # of an array that is read without Python
ARRAY_KEY = MOST_DIMS + 1  # words of a key: how many dimensions, and their sizes

MOST_KEYED = 8  # operands of a list whose Dims are a key; of longer lists, all Dims must be the same
LIST_KEY = MOST_KEYED + 1  # words of such a key: how many there are (of longer ones: minus that), and the Dims
FIRST_ROWS = 8  # of a table
