"""Integer layouts shared by Python, the planner and the kernels: which integer means what. Needs no TVM.

All data is in flat buffers of int64. The terms:

- A *record* is one operation of the graph, as integers: `signature, operands..., attributes...`. In a *variadic* record
  the number of operands comes before them. A graph is the list of its records.
- A *node* is one value that a record computes. Nodes are numbered in the order of the records. An operand is a node's
  number, or -1 - p for the parameter in row p of the parameter table.
- A record may compute several nodes, its *parts*. They have consecutive numbers and share the record's operands. Each
  has its own signature and runs after the part before it.
- A *signature* describes nodes that can run in one batch. It is a section of the *table*: a head, views and steps.
- A *column* is the unit of work of a kernel, such as one batch element. A *view* says where each column of an operand
  or of the node itself starts. In a variadic record, the first operands have their own views; all others share one
  view, whose source is EACH.
- A *step* is an instruction that nodes of a signature need: a kernel and its parameters.
- The *tape* is the list of instructions that the planner writes. Kernels read their addresses from *address lists*,
  which are in the buffer `index`: for each view one list for values and one for gradients.
"""

from __future__ import annotations

from collections.abc import Iterator


class Structure:
    """Names for adjacent integers in memory; each name is an attribute that gives the integer's offset.

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
        """Return the given integers in the order of the names. Every name must be given."""
        if values.keys() != self._places.keys():
            raise ValueError(f"wanted {', '.join(self)}; got {', '.join(values)}")
        return [values[name] for name in self]


SHARES = ("others", "columns_before", "rows_before", "rows_after")
# The integers needed to run the instructions of a tape. They come first in CONTEXT, so that each thread can have its
# own copy of them.
RUNNING = (
    "table", "index", "tape",
    "origin",  # the base of all float addresses: 0 while a tape runs
    "row", "tape_count",  # the number of the instruction to run next, and the number of instructions on the tape
    # If threads share an instruction by columns: how many columns the other threads have, and how many of these come
    # before this thread's columns. If they share it by rows: the shares of the rows that come before and after this
    # thread's rows, in units of 1 / WHOLE.
    *SHARES,
    "code",  # the address of a list with the handle of each shard's function; 0 for a shard that is not loaded
    # Argument and result of a call by TVM's packed convention, each a type and a value. The argument is the address of
    # these RUNNING integers.
    "address_type", "address", "result_type", "result",
)  # fmt: skip
WHOLE = 1 << 16
MOST_SHARDS = 1 << 16  # the length of the list `code`
INT_ARGUMENT = 1  # the value of `address_type`: TVM's type code for an integer

# The context has the addresses of these buffers of int64, and then the single integers of SCALARS.
BUFFERS = (
    "table", "parameters",  # written by Python: the signatures, and one PARAMETER row for each parameter
    "new_records",  # the graph's records as Python writes them, with the offsets of input values in the input buffer
    "records",  # a copy of the records, with the addresses of input values instead of offsets
    "kept_records",  # the `new_records` of the plan that is kept, to compare the next graph with them
    "nodes",  # a NODE for each node
    "aliases",  # the nodes of this plan that have no memory, because their value is a part of another node's value
    # The nodes of this plan that have instructions, the numbers of their signatures, and their depths.
    "planned", "numbers", "depths",
    "by_signature", "by_depth",  # the planned nodes sorted by signature; and sorted by depth, then by signature
    "counters",  # scratch memory for sorting
    # For each signature, by its number in this plan: a bit set of the signatures that must run before it, and its
    # stage (see `plan/stages.py`).
    "predecessors", "stages",
    "stage_begins",  # for each stage: the depth of its first nodes, counted over all stages
    "index", "tape",  # the address lists and instructions of the pass that is planned and run now
    "forward_index", "forward_tape", "backward_index", "backward_tape",
    "sharing",  # a SHARING structure: how many threads share work, and from how much work on
    "threads",  # for each thread that helps to run this tape: its own RUNNING integers and one INSTRUCTION
)  # fmt: skip
SCALARS = (
    "arena_top", "arena_end",  # the free part of the memory for values, as addresses in floats
    "gradient_start", "gradient_end",  # the memory for gradients, as addresses in floats
    "gradient_top",  # the end of the part of this memory that is in use
    "never_fresh",  # 1 if kernels cannot overwrite gradients but only add to them, as on a GPU
    "shared_work",  # the time of all instructions on the tape that threads share, in picoseconds
    "index_top", "index_end", "tape_end",  # used and available integers of `index`; available instructions of `tape`
    "forward_index_end", "forward_tape_end", "backward_index_end", "backward_tape_end",
    # The kept plan, which a graph with the same records uses again: the last one that began with a graph's first
    # record. The number of its record integers (-1: no plan is kept), the number of its input floats, and `arena_top`
    # before it; then copies of the integers `arena_top`, `tape_count` and so on after it.
    "kept_end", "kept_inputs", "kept_start", "kept_arena_top", "kept_tape_count", "kept_index_top",
    "kept_shared_work", "kept_node_count", "kept_one_numbering",
    "plan",  # a counter of forward plans: if it is unchanged, so are the address lists of the forward pass
    "node_count",  # the number of nodes in the graph
    "deepest",  # the largest depth plus 1
    "one_numbering",  # 1 if one plan found the depths of all nodes of the graph, so that they can be compared
    # A counter that is increased each time the planner numbers signatures anew, and how many it has numbered this time.
    "numbering", "numbered",
    "planned_count",  # the number of nodes in `planned`
    # The `plan` counter of the forward plan whose sorted lists of nodes are still valid (-1: none), and their length.
    "ordered", "ordered_count",
    "touches_lookups",  # not 0 if the backward pass adds to rows of lookup tables, which are then listed
    "flags_used",  # 1 if nodes may still have flags that an earlier backward plan has set
    # The last backward plan, which may also be used again: the `plan` counter of its forward plan (-1: no plan is
    # kept), its loss, whether it computes the gradients of all nodes, and its `gradient_start`; then copies of the
    # integers `tape_count`, `index_top` and `shared_work` after it.
    "backward_plan", "backward_loss", "backward_everything", "backward_start", "backward_tape_count",
    "backward_index_top", "backward_shared_work",
    "copies",  # an id for this context, under which the GPU code keeps copies of its address lists; 0: none yet
    # The result of planning or running, and, if memory was too small, how much is needed.
    "status", "needed_floats", "needed_index", "needed_tape",
)  # fmt: skip
CONTEXT = Structure(*dict.fromkeys(RUNNING + BUFFERS + SCALARS))

# Values of `status`. READY: no error. TOO_SMALL: a buffer is too small for the plan. NOT_BELOW: `norm_and_update` has
# not updated, because the gradients' norm is not below the limit. NO_CODE: the machine code for instruction `row` is
# missing.
READY, TOO_SMALL, NOT_BELOW, NO_CODE = range(4)

# A parameter: the addresses of its value and gradient, and whether its gradient is wanted. A lookup table also has the
# address `touched` of a list of the rows that the backward pass has added to (0 for other parameters): the number of
# these rows, their numbers, a mark for each row of the table, and whether all rows count as touched. Its `rows` rows
# have `width` floats each.
PARAMETER = Structure("value", "gradient", "needs_gradient", "touched", "width", "rows")

# One row of a trainer's table: the parameter's row in `parameters`, whether the update changes the parameter, how many
# floats it has, and how many of them form one column, which the planner writes. The addresses of the tensors that the
# trainer keeps for this parameter, such as its momentum, follow.
UPDATE = Structure("parameter", "chosen", "floats", "column")

NODE = Structure(
    "signature",  # the offset of the node's signature in `table`
    "operands",  # the offset in `records` of the first operand of the node's record
    "first_part",  # the number of the first node of the record
    "depth",  # the depth within the node's stage
    "value", "gradient",  # addresses in floats
    "flags",
    "stage",
)  # fmt: skip
# Flags of a node. REACHED: the loss depends on it. DIFFERENTIATED: the backward pass runs its steps. HAS_GRADIENT: its
# gradient has an address. MET: a temporary mark while the operands of one step are examined. USED_TWICE: it is an
# operand more than once. NEEDS_GRADIENT: it depends on a trained parameter; the forward plan sets this flag.
REACHED, DIFFERENTIATED, HAS_GRADIENT, MET, USED_TWICE, NEEDS_GRADIENT = (1 << bit for bit in range(6))

# If a plan has more signatures than this, they are not put into stages, and nodes are sorted by depth alone.
MOST_NUMBERED = 256
WORDS = MOST_NUMBERED // 64  # int64 words of a row of `predecessors`, which has a bit for each signature

# The steps of a signature for one direction: their offset from the start of the signature, their number, and two bit
# sets of address lists. Bit k of `lists` says that steps read address list k in all columns; bit k of `first_lists`
# says that they read it in the first column only. `lists` is ALL_LISTS if a kernel does not say which lists it reads,
# or if there are more than MOST_LISTS.
STEPS = Structure("begin", "count", "lists", "first_lists")
MOST_LISTS, ALL_LISTS = 62, -1
DIRECTIONS = ("forward", "backward", "deferred")
# The head of a signature; its views follow. Integers that end in `_each` are further amounts for each of the operands
# that share EACH.
SIGNATURE = Structure(
    # The value of the `numbering` counter when the signature was last numbered, and the number it got.
    "numbering", "number",
    "kind",
    "size", "size_each",  # the number of floats of a node
    "columns", "columns_each",
    "operands", "variadic", "attributes", "constants",
    "alias_scale", "alias_offset",
    "passes",  # 1 if operands can get a gradient from the node
    "waits_from", "waits_count", "waits_each",  # which operands must be computed before the node
    "parts", "part_count", "last_part_repeats",  # `parts` is the offset in the table of a list of the parts' signatures
    "view_count",
    *(f"{direction}_{name}" for direction in DIRECTIONS for name in STEPS),
    "keeps_gradient",  # 1 if no step writes to the node's own gradient, which may then be an alias of another gradient
)  # fmt: skip
# Values of `kind`. The value of an ALIAS is a part of its operand's value, and mostly so is its gradient. APART: an
# alias that always has its own gradient.
COMPUTED, ALIAS, INPUT, APART = range(4)
TO_THE_END = -1  # the value of `waits_count` for all operands from `waits_from` on

# The address of column c is base + offset + (c % period) * stride + (c // period) * outer + attribute * scale, where
# base depends on `source`, and attribute is the record's attribute number index + c * index_step. If period is 0, it is
# base + offset + c * stride + attribute * scale. If index is NO_INDEX, there is no attribute.
VIEW = Structure(
    "source", "offset", "stride", "period", "outer", "index", "index_step", "scale",
)  # fmt: skip
# `source` is the number of an operand or one of these. SELF: the node itself. NOWHERE: address 0. EACH: operand number
# c // period of those that share this view. BEFORE: the part before this one. FIRST: the record's first part; `scale`
# floats are added for each part between it and this one.
SELF, NOWHERE, EACH, BEFORE, FIRST = -1, -2, -3, -4, -5
NO_INDEX = -1

STEP = Structure(
    "opcode",
    "gradient_of",  # the number of the operand whose gradient the step adds to, or a negative value such as NO_OPERAND
    "parameters",  # the offset of the kernel's parameters in `table`
    # How many floats of that gradient the step can overwrite, each once and from the first on; 0 if it can only add.
    "covers",
    "shared",  # how threads may share the step
    "work",  # about how many picoseconds one thread takes for a column; 0 if threads cannot share the step
    "copies",  # 1 if the step adds an unchanged copy of the node's gradient
)  # fmt: skip
# Values of `shared`. ALONE: one thread runs the step. BY_COLUMNS, BY_ROWS (of the result): threads divide these.
# IF_DISTINCT: by columns, if no two nodes of the batch have the same operand; else alone. EITHER: by columns if there
# are many, else by rows. EITHER_IF_DISTINCT: the same, but by columns only if no two nodes have the same operand.
ALONE, BY_COLUMNS, BY_ROWS, IF_DISTINCT, EITHER, EITHER_IF_DISTINCT = range(6)
# Values of `gradient_of` that are not the number of an operand. NO_OPERAND: the step always runs. The others run if a
# gradient is needed, ANY_OPERAND: of the node itself; EACH_OPERAND: of an operand that shares EACH; BEFORE_OPERAND: of
# the part before.
NO_OPERAND, ANY_OPERAND, EACH_OPERAND, BEFORE_OPERAND = -1, -2, -3, -4

INSTRUCTION = Structure(
    "opcode",
    "base",  # the offset in `index` at which the address lists of this instruction start
    "count",  # the number of columns
    "parameters",
    "fresh",  # 1 if the memory that the kernel adds to is uninitialised, so that the kernel must overwrite it
    "shared",  # ALONE, BY_COLUMNS or BY_ROWS: how threads share the instruction
)

# The number of threads that share work, and the least work of an instruction and of a whole pass that they share, in
# picoseconds.
SHARING = Structure("threads", "least_instruction", "least_pass")
MOST_THREADS = 64
# The number of integers in the buffer `threads` for each thread, and the offset of the INSTRUCTION among them. The
# RUNNING integers come first.
THREAD_ROW, THREAD_INSTRUCTION = 32, 16

# The arguments of the host code that launches GPU kernels: the addresses of the kernels' handles, of the kernel
# arguments, of the pointers to these, and of the address lists on the GPU. The code writes `failure`: 0 or the error of
# the CUDA driver.
LAUNCH = Structure("functions", "arguments", "pointers", "index", "failure")

# `table` begins with TABLE_HEAD integers for parameters that the planner writes: at SEED_FILL the (start, size, number)
# of the FILL instruction that sets the gradient of the loss to 1.
SEED_FILL, TABLE_HEAD = 0, 8
FILL, CLEAR = 0, 1  # opcodes of kernels that no signature asks for: the planner adds them itself

CACHE_LINE = 16  # floats in a cache line; the memory of every node starts at a cache line


def aligned(size: int) -> int:
    """Round a number of floats up to whole cache lines."""
    return (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
