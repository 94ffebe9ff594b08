"""Where things stand in the integers that Python, the planner and the kernels share. Needs no TVM.

A *record* is `signature, operands..., attributes...` in one flat list (a variadic one has its operand count first; of
its operands, the first ones have views of their own and the others share EACH); a node is named by its number, in the
order of the records. An operand -1-p is row p of the parameters.
A record of several *parts* is several nodes, one number after the other: each part has a signature for itself, reads
operands of the common record, and waits for the part before it.
A *signature* is a stretch of the table: a head, its views, its steps. A *view* says where one named value of
each column stands; a *step* is one instruction that the signature wants. The *tape* is a list of instructions.
"""

from __future__ import annotations

from collections.abc import Iterator


class Structure:
    """The names of integers that stand one after the other.

    >>> point = Structure("x", "y")
    >>> point.y, point["y"], len(point)
    (1, 1, 2)
    >>> point.filled(y=7, x=3)
    [3, 7]
    """

    def __init__(self, *names: str):
        self._places = {name: place for place, name in enumerate(names)}
        if len(self._places) != len(names):
            raise ValueError(f"two integers have the same name: {names}")

    def __getattr__(self, name: str) -> int:
        try:
            return self.__dict__["_places"][name]
        except KeyError:
            raise AttributeError(f"there is no integer {name!r} among {', '.join(self)}") from None

    def __getitem__(self, name: str) -> int:
        return self._places[name]

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def filled(self, **values: int) -> list[int]:
        """Return the integers in their order. Each must be given."""
        if values.keys() != self._places.keys():
            raise ValueError(f"wanted {', '.join(self)}; got {', '.join(values)}")
        return [values[name] for name in self]


SHARES = ("others", "columns_before", "rows_before", "rows_after")
# What is needed to run instructions of a tape. It comes first in the context, so that each thread can have its own.
RUNNING = (
    "table", "index", "tape",
    "origin",  # always 0: addresses count floats from there
    "row", "tape_count",  # where the tape is being run, and where it ends
    # For an instruction that threads share by columns: how many columns the other threads have, and how many of these
    # come before this thread's columns. If they share it by rows: which shares of the rows come before and after this
    # thread's rows, in units of 1 / WHOLE.
    *SHARES,
    "code",  # where the handle of each shard's function is, 0 if it is not loaded
    "address_type", "address", "result_type", "result",  # argument (the address of RUNNING) and result of a packed call
)  # fmt: skip
WHOLE = 1 << 16
MOST_SHARDS = 1 << 16  # that `code` has room for
INT_ARGUMENT = 1  # what `address_type` says

# Buffers of int64 whose addresses stand in the context, then single integers.
BUFFERS = (
    "table", "parameters",  # what Python writes: signatures, rows of parameters
    "new_records",  # and records, in which inputs are named by their places among the inputs
    "records",  # the same with the addresses of inputs
    "kept_records",  # the new records of the last graph that was planned from its beginning
    "nodes",  # a NODE for each node
    "aliases",  # the nodes being planned that stand in others' memory
    # The nodes being planned that have instructions, the numbers of their signatures, and their depths;
    "planned", "numbers", "depths",
    "by_signature", "by_depth",  # the same nodes ordered by signature; and by depth, then by signature
    "counters",  # for sorting
    # Of signatures by their number: a bit for each that goes before it; and its stage (`plan/stages.py`).
    "predecessors", "stages",
    "stage_begins",  # of each stage: the depth of its first nodes
    "index", "tape",  # what the kernels read: the index and tape of the direction that is run
    "forward_index", "forward_tape", "backward_index", "backward_tape",
    "sharing",  # SHARING, for the whole process
    "threads",  # for each thread that shares this context's work: RUNNING and an instruction
)  # fmt: skip
SCALARS = (
    "arena_top", "arena_end",  # free stretch of the value arena, in floats
    "gradient_start", "gradient_end",  # the gradient arena, in floats
    "gradient_top",  # how far it is in use
    "never_fresh",  # 1 where kernels can only add
    "shared_work",  # of the instructions on the tape that threads share, in picoseconds
    "index_top", "index_end", "tape_end",
    "forward_index_end", "forward_tape_end", "backward_index_end", "backward_tape_end",
    # The last plan that began with a graph's first record: the number of its record integers (-1: no such plan), the
    # number of its input floats, and `arena_top` before it. Then the values that it gave to the integers of the same
    # names without `kept_`.
    "kept_end", "kept_inputs", "kept_start", "kept_arena_top", "kept_tape_count", "kept_index_top",
    "kept_shared_work", "kept_node_count", "kept_one_numbering",
    "plan",  # a number that changes with every forward plan, and so whenever its lists of addresses do
    "node_count",  # nodes of the graph
    "deepest",  # one more than the largest depth
    "one_numbering",  # whether the depths of all nodes of the graph were found together
    "numbering", "numbered",  # a number that changes with every numbering, and how many signatures it found
    "planned_count",  # how many nodes `planned` are
    "ordered", "ordered_count",  # the forward plan whose order of all nodes still stands (-1: none), and how many
    "touches_lookups",  # not 0 if the backward pass notes rows of lookup tables
    "flags_used",  # whether some nodes still have flags of an earlier backward plan
    # The last backward plan: the number of its forward plan (-1: no such plan), its loss, its `everything`, and its
    # `gradient_start`. Then the values that it gave to the integers of the same names without `backward_`.
    "backward_plan", "backward_loss", "backward_everything", "backward_start", "backward_tape_count",
    "backward_index_top", "backward_shared_work",
    "copies",  # the number under which a GPU's machine keeps copies of this context's lists of addresses; 0: none yet
    "status", "needed_floats", "needed_index", "needed_tape",
)  # fmt: skip
CONTEXT = Structure(*dict.fromkeys(RUNNING + BUFFERS + SCALARS))

# `status` after planning; after `norm_and_update`, NOT_BELOW where it has not updated; after running, NO_CODE where the
# code of an instruction is not there: the one in `row`.
READY, TOO_SMALL, NOT_BELOW, NO_CODE = range(4)

# `touched` is the address of a lookup table's list of touched rows, or 0: [how many, row numbers..., a mark for each
# row, whether all are], rows of `width` floats.
PARAMETER = Structure("value", "gradient", "needs_gradient", "touched", "width", "rows")

# One row of a trainer's table: a row of `parameters`, whether the update changes it, how many floats it has, how many
# of them the planner found to be one column. Then follows where each tensor of the trainer's state stands.
UPDATE = Structure("parameter", "chosen", "floats", "column")

NODE = Structure(
    "signature",  # that it runs by
    "operands",  # where the operands of its record begin
    "first_part",  # the record's first node
    "depth",  # in its stage
    "value", "gradient",  # addresses
    "flags",
    "stage",
)  # fmt: skip
# Flags of a node. The backward pass reaches it from the loss; it runs the node's steps; the gradient has an address;
# the node was met while operands of one step were looked at; it is an operand more than once;
# it depends on a parameter that is trained, which is known since the node was planned.
REACHED, DIFFERENTIATED, HAS_GRADIENT, MET, USED_TWICE, NEEDS_GRADIENT = (1 << bit for bit in range(6))

MOST_NUMBERED = 256  # signatures in one plan that are put into stages; of more, nodes are ordered by depth alone
WORDS = MOST_NUMBERED // 64  # of one row of `predecessors`

# Steps that a signature lists for one direction: where they begin, counted from the signature, and a bit for each list
# of addresses that they read, of all columns or of the first only; all bits where that is not known, or where there
# are more lists than MOST_LISTS.
STEPS = Structure("begin", "count", "lists", "first_lists")
MOST_LISTS, ALL_LISTS = 62, -1
DIRECTIONS = ("forward", "backward", "deferred")
# The head of a signature.
SIGNATURE = Structure(
    "numbering", "number",  # the last numbering that included this signature, and the number that it got there
    "kind",
    "size", "size_each",  # floats of a node; and for each operand that shares EACH
    "columns", "columns_each",
    "operands", "variadic", "attributes", "constants",
    "alias_scale", "alias_offset",
    "passes",  # whether the backward pass goes on to the operands
    "waits_from", "waits_count", "waits_each",  # which operands must be there first
    "parts", "part_count", "last_part_repeats",  # where in the table the signatures of the parts are listed
    "view_count",
    *(f"{direction}_{name}" for direction in DIRECTIONS for name in STEPS),
    "keeps_gradient",  # no step changes the node's own gradient, so it may be an alias of another node's
)  # fmt: skip
COMPUTED, ALIAS, INPUT, APART = range(4)  # `kind`; APART is an alias whose gradient is always its own
TO_THE_END = -1  # `waits_count`: all operands from `waits_from` on

# Address in column c: base(source) + offset + (c % period) * stride + (c // period) * outer + attribute * scale, where
# the attribute has the number index + c * index_step.
VIEW = Structure(
    "source", "offset", "stride", "period", "outer", "index", "index_step", "scale",
)  # fmt: skip
# `source`, beside numbers of operands: the node itself, address 0, variadic operand number c // period, the part before
# this one, and the record's first part, where `scale` counts the parts between.
SELF, NOWHERE, EACH, BEFORE, FIRST = -1, -2, -3, -4, -5
NO_INDEX = -1

STEP = Structure(
    "opcode",
    "gradient_of",  # the operand whose gradient it makes
    "parameters",  # where they stand in the table
    "covers",  # how many floats of that gradient it may set instead of adding, from the first on without a gap; or 0
    "shared",  # how threads may share it
    "work",  # about how many picoseconds a column takes then
    "copies",  # whether what it sets is the node's gradient as it is
)  # fmt: skip
# `shared`: not at all, by columns, by rows of the result; by columns if no two nodes of the group have the operand;
# by rows, or, if there are many, by columns, whatever the operands or if no two nodes of the group have the same.
ALONE, BY_COLUMNS, BY_ROWS, IF_DISTINCT, EITHER, EITHER_IF_DISTINCT = range(6)
NO_OPERAND, ANY_OPERAND, EACH_OPERAND, BEFORE_OPERAND = -1, -2, -3, -4

INSTRUCTION = Structure(
    "opcode",
    "base",  # where its lists of addresses begin
    "count",  # columns
    "parameters",
    "fresh",  # 1 if what the kernel adds to is uninitialised: it sets it then
    "shared",  # how threads share it
)

# How threads share work: how many there are, the least work of an instruction that they share, and of a pass.
SHARING = Structure("threads", "least_instruction", "least_pass")
MOST_THREADS = 64
THREAD_ROW, THREAD_INSTRUCTION = 32, 16  # integers for each thread, and the place of its instruction among them

# What a GPU's machine tells the code that launches kernels: the addresses of the kernels' handles, of arguments and of
# pointers to these, and of the lists of addresses on the GPU; and what that code answers, 0 or the driver's error.
LAUNCH = Structure("functions", "arguments", "pointers", "index", "failure")

# The head of the table holds parameters the planner itself writes: (start, size, number) of a fill.
SEED_FILL, TABLE_HEAD = 0, 8
FILL, CLEAR = 0, 1  # opcodes of kernels that the planner itself asks for

CACHE_LINE = 16  # floats; every node begins on one


def aligned(size: int) -> int:
    """Round a number of floats up to whole cache lines."""
    return (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
