"""Where things stand in the integers that Python, the planner and the kernels share. Needs no TVM.

A *record* is `signature, operands..., attributes...` in one flat list (a variadic one has its operand count first; of
its operands, the first OPERANDS have views of their own and the others share EACH);
a node is named by its number, in the order of the records. An operand -1-p is row p of the parameters.
A record of several *parts* is several nodes, one number after the other: each part has a signature for itself, reads
operands of the common record, and waits for the part before it.
A *signature* is a stretch of the table: a head, its views, its steps. A *view* says where one named value of
each column stands; a *step* is one instruction that the signature wants. A row of the *tape* is one instruction.
"""

from __future__ import annotations

SHARES = ("others", "columns_before", "rows_before", "rows_after")
# What running rows of a tape takes. It comes first in the context, so that each thread can have its own of this alone.
RUNNING = (
    "table", "index", "tape",
    "origin",  # always 0: addresses count floats from there
    "row", "tape_count",  # where the tape is being run, and where it ends
    # of an instruction that threads share: how many columns are others', and how many of those come before this
    # thread's; or what shares of its rows stand before and after this thread's, in parts of WHOLE
    *SHARES,
    "self_type", "self", "result_type", "result",  # the address of all this, in the form in which functions take it
)  # fmt: skip
WHOLE = 1 << 16
# Buffers of int64 whose addresses stand in the context, then single integers.
BUFFERS = (
    "fresh", "table", "parameters",  # what Python writes: records, signatures, rows of parameters
    "kept", "nodes",  # the records of the last graph planned from its beginning, and with their constants found
    "node",  # a row for each node: what is known of it
    "aliases",  # of the nodes being planned, those that stand in others
    # nodes that are being planned, the numbers of their signatures and their depths, and orders; one per record integer
    "starts", "numbers", "depths", "sorted", "order", "counters",
    "before", "stage",  # of signatures by their number in a plan: which ones go before, and when they run (`levels.py`)
    "begins",  # of each stage: the depth of its first nodes
    "index", "tape",  # what the kernels read: those of the direction that is run
    "forward_index", "forward_tape", "backward_index", "backward_tape",
    "sharing",  # how threads share work, for the whole process
    "threads",  # RUNNING and one row of a tape for each thread that shares this context's work
)  # fmt: skip
SCALARS = (
    "arena_top", "arena_end",  # free stretch of the value arena, in floats
    "gradient_start", "gradient_end",  # the gradient arena, in floats
    "gradient_top",  # how far it is in use
    "never_fresh",  # 1 where kernels can only add
    # of the steps of a group, a bit each: whether they set what they make, whether no columns make the same, whether
    # their operands borrow the gradient instead
    "fresh_steps", "distinct_steps", "lent_steps",
    "shared_work",  # of the instructions on the tape that threads share, in picoseconds
    "index_top", "index_end", "tape_end",
    "forward_index_end", "forward_tape_end", "backward_index_end", "backward_tape_end",
    # the last plan from a graph's beginning: number of record integers (-1: none), floats of inputs, where the arena
    # began and ended, lengths of the tape and of the lists of addresses
    "kept_end", "kept_inputs", "kept_start", "kept_top", "kept_tape", "kept_index_top",
    "kept_shared_work",
    "plan",  # a number that changes with every forward plan, and so whenever its lists of addresses do
    "node_count", "kept_nodes",  # nodes of the graph; those of the last plan from its beginning
    "deepest",  # one more than the largest depth
    "levels", "kept_levels",  # whether the depths of the graph, and of that plan, are those of one numbering
    "numbering", "numbered",  # a number that changes with every numbering, and how many signatures it found
    # the last backward plan: of which forward plan (-1: none), from which loss, what for, where and how long
    "starts_count",  # how many nodes `starts` are
    "ordered", "ordered_count",  # of which forward plan `order` and `sorted` are, if of all its nodes; and how many
    "touching",  # not 0 if rows of lookup tables are to be noted
    "dirty",  # whether LIVE of some nodes is that of an earlier backward plan
    "backward_plan", "backward_loss", "backward_everything", "backward_start", "backward_tape_count",
    "backward_index_top", "backward_shared_work",
    "copies",  # by what number a GPU's machine knows the copies of this context's lists of addresses; 0: by none yet
    "wanted", "status", "needed_floats", "needed_index", "needed_tape",
)  # fmt: skip
SLOT = {name: place for place, name in enumerate(dict.fromkeys(RUNNING + BUFFERS + SCALARS))}

INT_ARGUMENT = 1  # what `self_type` says

# `status` after planning; after `norm_and_update`, NOT_BELOW where it has not updated; after running, NO_CODE where the
# code of an instruction is not there: the one in `row`
READY, TOO_SMALL, NOT_BELOW, NO_CODE = range(4)

# One row of `parameters`. TOUCHED is the address of a lookup table's list of touched rows, or 0:
# [how many, row numbers..., a mark for each row, whether all are], rows of WIDTH floats.
(PARAMETER_VALUE, PARAMETER_GRADIENT, PARAMETER_NEEDS, PARAMETER_TOUCHED, PARAMETER_WIDTH, PARAMETER_ROWS) = range(6)
PARAMETER_ROW = 6

# One row of a trainer's table: a row of `parameters`, whether the update changes it, how many floats it has,
# how many of them the planner found to be one column, and where each tensor of the trainer's state stands.
UPDATE_PARAMETER, UPDATE_CHOSEN, UPDATE_FLOATS, UPDATE_COLUMN, UPDATE_STATES = range(5)

# One row of `node`: the signature that it runs by, where the operands of its record begin, the record's first node, how
# deep it is in its stage, where value and gradient stand, what is known of its gradient, and its stage.
NODE_PART, NODE_FIRST, NODE_BEGIN, NODE_DEPTH, NODE_VALUE, NODE_GRADIENT, NODE_LIVE, NODE_STAGE = range(8)
NODE_ROW = 8

# NODE_LIVE: there is room for a gradient; the loss depends on the node, so that its steps have to run; something is in
# its gradient; a step that is being looked at would be the first to write there; more than one node has it as operand.
WANTED, PASSED_ON, TOUCHED, CONSIDERED, TWICE = 1, 2, 4, 8, 16
NEEDED = 32  # the same, but known since the node was planned: it depends on a parameter that is trained

MOST_NUMBERED = 256  # signatures in one plan that are put into stages; of more, nodes are ordered by depth alone
WORDS = MOST_NUMBERED // 64  # of one row of `before`

# The head of a signature. LOCAL is its number in the numbering that STAMP says.
(
    STAMP, LOCAL, KIND, SIZE, SIZE_EACH, COLUMNS, COLUMNS_EACH, OPERANDS, VARIADIC, ATTRIBUTES, CONSTANTS,
    ALIAS_SCALE, ALIAS_OFFSET, PASSES, WAITS_FROM, WAITS_COUNT, WAITS_EACH, PARTS, PARTS_KNOWN, PARTS_REPEAT, VIEWS,
    FORWARD, FORWARD_COUNT, FORWARD_LISTS, FORWARD_FIRSTS, BACKWARD, BACKWARD_COUNT, BACKWARD_LISTS, BACKWARD_FIRSTS,
    DEFERRED, DEFERRED_COUNT, DEFERRED_LISTS, DEFERRED_FIRSTS, BORROWS, SETS_FIRST, HEAD,
) = range(36)  # fmt: skip
# LISTS, FIRSTS: a bit for each list of addresses that the steps read, of all columns or of the first only; all bits
# where that is not known, or where there are more lists than MOST_LISTS.
MOST_LISTS, ALL_LISTS = 62, -1
# BORROWS: whether steps leave the node's own gradient as it is, so that it may be that of another node, too.
# SETS_FIRST: whether each part with this signature sets all of its share of the gradient of the record's first part.
COMPUTED, ALIAS, INPUT, APART = range(4)  # KIND; APART is an alias whose gradient is always its own

TO_THE_END = -1  # WAITS_COUNT: all operands from WAITS_FROM on

# One view: address = base(source) + offset + (c % period) * stride + (c // period) * outer + index[...] * scale.
(
    VIEW_SOURCE, VIEW_OFFSET, VIEW_STRIDE, VIEW_PERIOD, VIEW_OUTER, VIEW_INDEX, VIEW_INDEX_STEP, VIEW_INDEX_SCALE,
    VIEW_FOLLOWS,
) = range(9)  # fmt: skip
VIEW_ROW = 9
# VIEW_FOLLOWS: whether all but the offset is as in the view before this one.
# VIEW_SOURCE: the node itself, address 0, variadic operand number c // period, the part before this one, and the
# record's first part, where `scale` counts the parts between.
SELF, NOWHERE, EACH, BEFORE, FIRST = -1, -2, -3, -4, -5
NO_INDEX = -1

# One step: opcode, the operand whose gradient it makes, where its parameters stand in the table, how many floats of
# that gradient it may set instead of adding to them, from the first on without a gap (0: none), how threads may
# share it, about how many picoseconds a column takes then, and whether what it sets is the node's gradient as it is.
STEP_OPCODE, STEP_OPERAND, STEP_PARAMETERS, STEP_COVERS, STEP_SHARED, STEP_WORK, STEP_LENDS = range(7)
STEP_ROW = 7
# STEP_SHARED: not at all, by columns, by rows of the result; by columns if no two nodes of the group have the operand;
# by rows, or, if there are many, by columns, whatever the operands or if no two nodes of the group have the same
ALONE, BY_COLUMNS, BY_ROWS, IF_DISTINCT, EITHER, EITHER_IF_DISTINCT = range(6)
NO_OPERAND, ANY_OPERAND, EACH_OPERAND, BEFORE_OPERAND = -1, -2, -3, -4

# One row of the tape. FRESH is 1 if what the kernel adds to is of no meaning yet: it sets it then. SHARED is how
# threads share the instruction.
TAPE_OPCODE, TAPE_BASE, TAPE_COUNT, TAPE_PARAMETERS, TAPE_FRESH, TAPE_SHARED = range(6)
TAPE_ROW = 6

# How threads share work: how many there are, the least work of an instruction that they share, and of a pass.
SHARING_THREADS, SHARING_INSTRUCTION, SHARING_PASS, SHARING = range(4)
MOST_THREADS = 64
THREAD_ROW, THREAD_TAPE = 32, 16  # of `threads`, and where in it the row of a tape stands

# The head of the table holds parameters the planner itself writes: (start, size, number) of a fill.
SEED_FILL, TABLE_HEAD = 0, 8
FILL, CLEAR = 0, 1  # opcodes of kernels that the planner itself asks for

CACHE_LINE = 16  # floats; every node begins on one


def aligned(size: int) -> int:
    """Round a number of floats up to whole cache lines."""
    return (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
