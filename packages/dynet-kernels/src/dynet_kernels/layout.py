"""Integer layouts shared by Python, the planner and the kernels: which integer means what. Needs no TVM.

All are int64. Addresses of values and gradients count floats; all other addresses count bytes. A record is
`signature, operands..., attributes...`; if it is variadic, the number of operands precedes them. An operand is a node's
number, or -1 - p for row p of `parameters`.
"""

from __future__ import annotations

from collections.abc import Iterator


class Structure:
    """Names for adjacent integers in memory. Each name is an attribute: the place of its integer, counted from 0.

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
        """Return the integers in `values` in the order of the names. Every name must be given."""
        if values.keys() != self._places.keys():
            raise ValueError(f"wanted {', '.join(self)}; got {', '.join(values)}")
        return [values[name] for name in self]


SHARES = ("others", "columns_before", "rows_before", "rows_after")
# What running a tape needs; CONTEXT begins with it. Threads that share a tape have each their own copy.
RUNNING = (
    "table", "index", "tape",
    # An address times 4 plus `origin` is in bytes. It is 0, except while a forward pass is planned for a GPU: then the
    # planner copies the inputs onto themselves (see `cuda/machine.py`).
    "origin",
    "row", "tape_count",  # the next instruction to run, and how many the tape has
    # This thread's part of an instruction: how many columns other threads run, and how many of these come before its
    # own; or which fraction of the rows comes before and after its own, in units of 1 / WHOLE.
    *SHARES,
    "code",  # the address of a list of each shard's function handle, 0 if it is not loaded
    # The argument and result of a call, by TVM's convention a type and a value: the address of these integers.
    "address_type", "address", "result_type", "result",
)  # fmt: skip
WHOLE = 1 << 16
MOST_SHARDS = 1 << 16  # the length of the list whose address is in `code`
INT_ARGUMENT = 1  # the value of `address_type`: TVM's type code for an integer

# The structure that Python and compiled code share: RUNNING, the addresses of these buffers, and SCALARS.
BUFFERS = (
    # Written by Python: all signatures, but a trainer's context has its UPDATE rows; and a PARAMETER row for each.
    "table", "parameters",
    "new_records",  # the graph's records as Python writes them, with the offsets of input values in the input buffer
    "records",  # the planner's copy of the records, with the addresses of input values instead of their offsets
    "kept_records",  # a copy of the `new_records` of the kept plan (see SCALARS), to compare the next graph's with them
    "nodes",  # a NODE structure for each node of the graph
    "aliases",  # the numbers of the new nodes that are aliases
    "lookups",  # the numbers of the nodes that read rows of lookup tables and get a gradient from the backward pass
    # Nodes that get instructions, their signatures' numbers and depths, entry by entry until `planned` is sorted.
    "planned", "numbers", "depths",
    "by_signature", "by_depth",  # `planned`, sorted by signature; and by depth, then by signature
    "counters",  # scratch memory for sorting
    # Scratch memory for `plan/repeats.py`: a hash table; and for each column of a group the number that it shares with
    # its equals, then for each such number the first column.
    "buckets", "numbers_of_columns",
    "predecessors", "stages",  # of each numbered signature: bits of those before it; `plan/stages.py`
    "stage_begins",  # for each stage: how many depths all earlier stages have together
    # Those of the pass that is planned and run now, copies of two of the next four.
    "index", "tape",
    "forward_index", "forward_tape", "backward_index", "backward_tape",
    "sharing",  # a SHARING structure
    "threads",  # for each thread that helps to run this tape: its own RUNNING integers and one INSTRUCTION
    "ahead",  # a copy of this CONTEXT, in which a helper plans the backward pass ahead (see `planning_ahead.py`)
    # Of a trainer, an integer each: how often parameters changed in its thread, now and at its last update.
    "changes", "changed",
)  # fmt: skip
SCALARS = (
    "arena_top", "arena_end",  # the free part of the memory for values
    "gradient_start", "gradient_end",  # the memory for gradients
    "gradient_top",  # where its free part begins
    "never_fresh",  # 1 if kernels can only add to gradients, as on a GPU, and so cannot overwrite uninitialized ones
    "shared_work",  # picoseconds that one thread would take for all instructions that threads share
    "index_top", "index_end",  # how many integers of `index` are in use, and how many it has
    "tape_end",  # how many instructions `tape` has room for
    "forward_index_end", "forward_tape_end", "backward_index_end", "backward_tape_end",
    # The last forward plan from a graph's first record on, for graphs of the same records: how many integers these have
    # (-1: none is kept), how many input values, `arena_top` before it, and copies of scalars after it.
    "kept_end", "kept_inputs", "kept_start", "kept_arena_top", "kept_tape_count", "kept_index_top",
    "kept_shared_work", "kept_node_count", "kept_one_numbering",
    "plan",  # how many forward plans were made; while this is unchanged, so are the address lists of the forward pass
    "node_count",
    "deepest",  # all depths are less than this
    "one_numbering",  # 1 if one plan found the depths of all nodes, and none is APART: for the backward pass
    "numbering", "numbered",  # how often signatures were numbered anew, and how many have a number since
    "planned_count",
    # The `plan` that sorted `by_signature` and `by_depth` (-1: the backward plan must), and their length.
    "ordered", "ordered_count",
    "alias_count", "lookup_count",
    "flags_used",  # 1 if nodes may still have flags that an earlier backward plan has set
    # The last backward plan, for use again: its `plan` (-1: none is kept), loss node, whether all nodes get gradients,
    # `gradient_start`, and copies of scalars after it.
    "backward_plan", "backward_loss", "backward_everything", "backward_start", "backward_tape_count",
    "backward_index_top", "backward_shared_work",
    "backward_plans",  # how many backward plans were made; while this is unchanged, so are the lists of the last one
    "backward_expected",  # 1 if the next one is expected to start from the last node, as the last one did
    "bucket_count",  # how many integers `buckets` has
    "searches",  # how many times columns that are equal have been looked for
    "copies",  # an id of this context, under which the GPU code keeps copies of its address lists; 0: it has no id yet
    "status", "needed_floats", "needed_index", "needed_tape",  # if it is TOO_SMALL: the sizes needed
)  # fmt: skip
CONTEXT = Structure(*dict.fromkeys(RUNNING + BUFFERS + SCALARS))

# TOO_SMALL: a buffer is. NOT_BELOW: `norm_and_update` did nothing, as the sum of squares is not below the limit.
# NO_CODE: the kernel of instruction `row` is not loaded. NO_HELPERS: Python has to start threads first.
READY, TOO_SMALL, NOT_BELOW, NO_CODE, NO_HELPERS = range(5)

# `needs_gradient` is 1 if it is trained. A lookup table has `rows` of `width` floats, and `touched` is the address (0
# for others) of a list of those to which gradients were added since the last update: how many, their numbers in the
# next `rows` integers, then for each row 1 if it is touched, and last 1 if all rows count as touched.
PARAMETER = Structure("value", "gradient", "needs_gradient", "touched", "width", "rows")

# A row of a trainer's table: `chosen` if the next update is to change it, its size in `floats`, and how many form a
# `column`, which the planner writes and the kernel reads. Addresses of the trainer's tensors for it follow.
UPDATE = Structure("parameter", "chosen", "floats", "column")

# What `norm_and_update` needs: the opcodes for `plan_gradient_norm` and `plan_update`, and their arguments. `totals` is
# the address, which counts float32s, of two float64s: the sum of squares, which it writes, and the limit.
BOTH = Structure("norm", "opcode", "count", "states", "numbers", "numbers_at", "dense", "totals")

NODE = Structure(
    "signature",  # the offset in `table`
    "operands",  # the offset in `records` of the first operand of the node's record
    "first_part",  # the number of the first node of the same record
    "depth",  # counted within its stage
    "value", "gradient",  # where they start in memory
    "flags",
    "stage",
)  # fmt: skip
# REACHED: the loss depends on it. DIFFERENTIATED: the backward pass runs its steps. MET: a temporary mark while the
# operands of a step are examined. USED_TWICE: nodes on which the loss depends have it as an operand more than once.
# NEEDS_GRADIENT: it depends on a trained parameter; this flag is of the forward plan, the others of the backward plan.
REACHED, DIFFERENTIATED, HAS_GRADIENT, MET, USED_TWICE, NEEDS_GRADIENT = (1 << bit for bit in range(6))

MOST_NUMBERED = 256  # the most signatures that are put into stages; with more, all are in one stage
WORDS = MOST_NUMBERED // 64  # int64s of bits that each signature has in `predecessors`

# The steps of one direction: their offset in the signature, their number, and as bits the address lists that they read
# for all columns, or for the first one only. ALL_LISTS: not known, or a list is MOST_LISTS or more, which has no bit.
STEPS = Structure("begin", "count", "lists", "first_lists")
MOST_LISTS, ALL_LISTS = 62, -1
# Deferred steps run at the end of the backward pass, once for all nodes of a signature. The two *repeated* ones, to
# copy a column and to add one to another, are for equal columns, which are computed once; not all signatures have them.
DIRECTIONS = ("forward", "backward", "deferred", "repeated")
# The head of a signature; views follow. `..._each` is to be added for each operand that shares the view EACH.
SIGNATURE = Structure(
    "numbering", "number",  # `number` is valid if `numbering` is the context's
    "kind",  # COMPUTED or another of the values below
    "size", "size_each", "hidden",  # floats of the value; those at its end, without gradient, for its own steps
    "columns", "columns_each",
    "operands", "variadic",  # their number; if `variadic` is 1, of those with their own views
    "attributes", "constants",  # how many, and how many of them, the first ones, are offsets of input values
    "alias_scale", "alias_offset",  # an alias starts at offset + scale * (first attribute) in its operand
    "passes",  # 1 if operands can get a gradient from the node
    "waits_from", "waits_count", "waits_each",  # operands to wait for: so many from one on; if 1, those of EACH
    # The offset in `table` of a list of the parts' signatures, and its length. If `last_part_repeats`, there is a part
    # more than operands that share EACH, and the last signature serves all further ones.
    "parts", "part_count", "last_part_repeats",
    "view_count",
    *(f"{direction}_{name}" for direction in DIRECTIONS for name in STEPS),
    "keeps_gradient",  # 1 if no backward step of a node changes its gradient, which may be an alias of another
    "determined_by",  # see `Description`: a view's number, or NO_VIEW
    # The planner's: the lists without repeated columns of a backward pass: where in `index`, of how many columns each,
    # for how many nodes, and `searches` at that time.
    "once_base", "once_columns", "once_nodes", "once_search",
)  # fmt: skip
NO_VIEW = -1
# INPUT: the value is given. ALIAS: it is a part of the operand's value, and so is its gradient, unless it is the loss
# or the gradients of all nodes are computed. APART: an alias that always has its own gradient.
COMPUTED, ALIAS, INPUT, APART = range(4)
TO_THE_END = -1  # a value of `waits_count`: the node waits for all operands from number `waits_from` on

# Column c is at base + offset + (c % period) * stride + (c // period) * outer + scale * attribute, or, if period is 0,
# at base + offset + c * stride + scale * attribute. The attribute is number index + c * index_step, if any.
VIEW = Structure(
    "source", "offset", "stride", "period", "outer", "index", "index_step", "scale",
)  # fmt: skip
# The base is the address of operand `source`, or of SELF, the node; 0 for NOWHERE; of operand number c // period of
# EACH; of the part BEFORE this one; of the FIRST part, plus `scale` floats for each part between them.
SELF, NOWHERE, EACH, BEFORE, FIRST = -1, -2, -3, -4, -5
NO_INDEX = -1

STEP = Structure(
    "opcode",
    "gradient_of",  # the operand to whose gradient the step adds, or a negative value such as NO_OPERAND
    "parameters",  # the offset of the kernel's parameters in `table`
    "covers",  # floats of the operand's gradient that it can overwrite: the first ones, each once; 0: it only adds
    "shared",  # how threads may share the step: BY_COLUMNS or another of the values below
    "work",  # about how many picoseconds one thread takes for a column; 0 if threads cannot share the step
    "copies",  # 1 if the step adds the node's gradient, unchanged, to the operand's gradient
)  # fmt: skip
# EITHER: by columns if there are many, else by rows. IF_DISTINCT: by columns if no two nodes add to the same gradient.
ALONE, BY_COLUMNS, BY_ROWS, IF_DISTINCT, EITHER, EITHER_IF_DISTINCT = range(6)
# NO_OPERAND: the step always runs. ANY_OPERAND: if the node needs a gradient, as then some operand does. EACH_OPERAND:
# if an operand that shares EACH needs one. BEFORE_OPERAND: if the part before this one does.
NO_OPERAND, ANY_OPERAND, EACH_OPERAND, BEFORE_OPERAND = -1, -2, -3, -4

INSTRUCTION = Structure(
    "opcode",
    "base",  # where its address lists start in `index`
    "count",
    "parameters",  # the offset of the kernel's parameters in `table`
    "fresh",  # 1 if the memory that the kernel adds to is uninitialized, so that the kernel must overwrite it
    "shared",  # ALONE, BY_COLUMNS or BY_ROWS
)

# Up to `threads` threads share an instruction of at least `least_instruction` picoseconds, in a pass whose shared ones
# take at least `least_pass` (0: all do, whether it pays or not). From `look` on (nanoseconds; NEVER if the number was
# given), Python has to look again how many cores there are. The rest is for helpers, see `team.py`: `wanted` is 1 if
# Python has to start more, or to look again. `rows` is the address of their rows, of which row 0 is unused. `balance`
# is what sharing has brought lately, in nanoseconds. Of the pass that they share: `context` is its address, or 0 after
# it; `ahead` is WANTED if a helper is to plan the backward pass, ORDERED if one has been told to, and `planned` for how
# many nanoseconds it did. `paces` is the address of PACES.
SHARING = Structure(
    "threads", "least_instruction", "least_pass", "look", "helpers", "wanted", "rows", "balance", "context", "ahead",
    "planned", "paces",
)  # fmt: skip
# Of passes with about as much work: how many, and the nanoseconds and `shared_work` of those that ran alone; old ones
# are forgotten little by little.
PACE, PACES = Structure("passes", "time", "work"), 2 * 64
NEVER, WANTED = 1 << 62, 1
# A helper's order: part `part` of `parts` of instruction `row`, or to plan the backward pass if it is negative.
HELPER = Structure("state", "lock", "row", "part", "parts")
# STARTED, COMING: started or woken, but not looking for work yet, as IDLE. ORDERED: has an order, but has not begun.
# Only the main thread gives orders, takes them back, and wakes helpers.
STARTED, COMING, ASLEEP, IDLE, ORDERED, WORKING = range(6)
HELPER_ROW = 16  # two cache lines, so that threads do not wait for each other's writes
MOST_THREADS = 64
THREAD_ROW, THREAD_INSTRUCTION = 32, 16  # integers of `threads` for each: RUNNING, and from 16 on an INSTRUCTION

# Launching needs the addresses of the handles by opcode, of memory for the arguments of a kernel, of pointers to them,
# and of the address lists in GPU memory. `failure` is written: 0, or the error of the CUDA driver.
LAUNCH = Structure("functions", "arguments", "pointers", "index", "failure")

# The first TABLE_HEAD integers of `table` are for the planner's own instructions: from SEED_FILL on, (start, size,
# number) for the FILL that sets the gradient of the loss to 1.
SEED_FILL, TABLE_HEAD = 0, 8
FILL, CLEAR = 0, 1  # opcodes of the kernels of the planner's own instructions; no step has them

CACHE_LINE = 16  # floats in a cache line; the memory of every node starts at a cache line


def aligned(size: int) -> int:
    """Round a number of floats up to whole cache lines."""
    return (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
