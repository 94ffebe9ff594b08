"""Structures of integers shared by Python, the planner and the kernels. Needs no TVM.

All integers are int64. Addresses of values and gradients count floats; all other addresses count bytes.
"""

from __future__ import annotations

from collections.abc import Iterator


class Structure:
    """Names for adjacent integers in memory. Each name is an attribute, whose value is the integer's index.

    >>> point = Structure("x", "y")
    >>> point.y, point["y"], len(point)
    (1, 1, 2)
    >>> point.filled(y=7, x=3)
    [3, 7]
    """

    def __init__(self, *names: str):
        self._indices = {name: index for index, name in enumerate(names)}
        if len(self._indices) != len(names):
            raise ValueError(f"two integers have the same name: {names}")

    def __getattr__(self, name: str) -> int:
        try:
            return self.__dict__["_indices"][name]
        except KeyError:
            raise AttributeError(f"there is no integer {name!r} among {', '.join(self)}") from None

    def __getitem__(self, name: str) -> int:
        return self._indices[name]

    def __contains__(self, name: str) -> bool:
        return name in self._indices

    def __iter__(self) -> Iterator[str]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def filled(self, **values: int) -> list[int]:
        """Return the integers in `values` as a list in the order of the names. All names must be given."""
        if values.keys() != self._indices.keys():
            raise ValueError(f"wanted {', '.join(self)}; got {', '.join(values)}")
        return [values[name] for name in self]


SHARES = ("others", "columns_before", "rows_before", "rows_after")  # see RUNNING
# The integers that running a tape needs. CONTEXT begins with them. Each thread that shares a tape has its own copy of
# them. `table`, `index` and `tape` are addresses: see BUFFERS.
RUNNING = (
    "table", "index", "tape",
    # A float's address in bytes is 4 times its address in floats, plus `origin`. `origin` is 0, except while a forward
    # pass is planned for a GPU: its value then makes the planner copy the inputs onto themselves (`cuda/machine.py`).
    "origin",
    "row", "tape_count",  # the number of the instruction to run next, and how many instructions the tape has
    # The share of an instruction that this thread runs. If threads share the columns: `others` is how many columns the
    # others run, `columns_before` how many of these come before this thread's columns. If threads share the rows:
    # `rows_before` and `rows_after` say which fraction of the rows comes before and after this thread's rows, in units
    # of 1 / ALL_ROWS.
    *SHARES,
    "code",  # the address of a list of the shards' function handles, which are 0 for shards that are not loaded
    # Memory for the argument and the result of a call. In TVM's calling convention, each is a type and a value. The
    # only argument is the address of these integers.
    "address_type", "address", "result_type", "result",
)  # fmt: skip
ALL_ROWS = 1 << 16  # the value of `rows_before` or `rows_after` that means all rows
MOST_SHARDS = 1 << 16  # the length of the list at `code`
INT_TYPE_CODE = 1  # the value of `address_type`: TVM's type code for an integer

# The *context* is the structure through which Python and compiled code share data: the integers of RUNNING, the
# addresses of these buffers of int64, and the integers of PLANNING.
BUFFERS = (
    # Written by Python. `table` has the signatures, or in a trainer's context its UPDATE rows. `parameters` has a
    # PARAMETER row for each parameter.
    "table", "parameters",
    "marks",  # a MARK structure for each signature
    "new_records",  # the graph's records as Python writes them, with offsets of input values in the input buffer
    "records",  # the planner's copy of the records, with addresses of input values instead of offsets
    "kept_records",  # the `new_records` of the kept plan (see PLANNING), to compare with the next graph's records
    "nodes",  # a NODE structure for each node of the graph
    "aliases",  # the numbers of the new nodes that are aliases
    "lookups",  # the numbers of the nodes that read rows of lookup tables and get a gradient in the backward pass
    # The nodes that get instructions in this plan, their signatures' numbers, and their depths. Entries k of the three
    # lists belong to the same node, until `sort_planned` sorts `planned`.
    "planned", "numbers", "depths",
    "by_signature", "by_depth",  # the nodes in `planned`, sorted by signature; and sorted by depth, then by signature
    "counters",  # scratch memory for sorting
    # Scratch memory for the search for equal columns (see `plan/repeats.py`): a hash table; a list that has for each
    # column of a group a number that equal columns share, then for each of these numbers the first such column.
    "buckets", "numbers_of_columns",
    # For each signature with a number: the bit set of signatures that must run before this one, and its stage.
    "predecessors", "stages",
    "stage_begins",  # for each stage: how many depths all earlier stages have together
    # The address lists and the instructions of the pass that is planned and run now: two buffers of the next line.
    "index", "tape",
    "forward_index", "forward_tape", "backward_index", "backward_tape",
    "sharing",  # a SHARING structure
    "threads",  # for each thread that runs shares of this tape: its own RUNNING integers, and an INSTRUCTION
    "ahead",  # a copy of this CONTEXT, in which a helper plans the backward pass ahead (`machine/team.py`)
    # In a trainer's context, the addresses of two integers: how many times the trainer's thread has changed parameters,
    # by updates or otherwise; and the value of this count after the trainer's last update.
    "changes", "changed",
)  # fmt: skip
PLANNING = (
    "arena_top", "arena_end",  # where the free memory for values begins and ends; addresses count floats
    "gradient_start", "gradient_end",  # where the memory for gradients begins and ends; addresses count floats
    "gradient_top",  # where the free memory for gradients begins
    "never_fresh",  # 1 if kernels can only add to gradients, as on a GPU, and cannot overwrite uninitialized memory
    "shared_work",  # how many picoseconds one thread would take for all instructions that threads share
    "most_work",  # the picoseconds that one thread would take for the longest instruction of the pass
    "index_top", "index_end",  # how many integers of `index` are in use, and how many there are
    "tape_end",  # how many instructions `tape` has room for
    "forward_index_end", "forward_tape_end", "backward_index_end", "backward_tape_end",
    # The kept plan: the last forward plan of a graph from its first record. A graph with the same records reuses it.
    # `kept_end` is the number of integers in its records (-1: no plan is kept), `kept_inputs` the number of the graph's
    # input values, and `kept_start` the value of `arena_top` before planning. The other `kept_` integers are copies of
    # `arena_top`, `tape_count` and so on after planning.
    "kept_end", "kept_inputs", "kept_start", "kept_arena_top", "kept_tape_count", "kept_index_top",
    "kept_shared_work", "kept_most_work", "kept_node_count", "kept_one_numbering",
    # Where `table` has room for (start, size, number), the parameters of the FILL instruction that sets the gradient of
    # the loss to 1.
    "seed_fill",
    "plan",  # how many forward plans there were; the forward pass's address lists change only together with this
    "node_count",  # the number of nodes in the graph
    "deepest",  # how many different depths nodes can have: all depths are less than this
    # 1 if a single plan found all nodes' depths, and no node is APART: the backward pass can then use these depths.
    "one_numbering",
    # How many times the planner has begun to number signatures, and how many it has numbered since the last time.
    "numbering", "numbered",
    "planned_count",  # the number of nodes in `planned`
    # `ordered` is the value of `plan` when the forward plan of a whole graph sorted the lists `by_signature` and
    # `by_depth`, or -1 if the backward plan must sort them again. `ordered_count` is their length.
    "ordered", "ordered_count",
    "alias_count", "lookup_count",  # the number of nodes in `aliases` and in `lookups`
    "flags_used",  # 1 if nodes may still have flags that an earlier backward plan has set
    # The last backward plan, which may also be reused. It was made for forward plan number `backward_plan` (-1: no
    # backward plan is kept), loss `backward_loss`, and `gradient_start` `backward_start`. `backward_everything` is 1 if
    # all nodes get gradients. The others are copies of `tape_count`, `index_top` and `shared_work` after planning.
    "backward_plan", "backward_loss", "backward_everything", "backward_start", "backward_tape_count",
    "backward_index_top", "backward_shared_work",
    "backward_plans",  # how many backward plans there were; the last one's address lists change only with this
    # 1 if the next backward pass is expected to start from the last node of a graph that a single plan computes,
    # because the previous backward pass did.
    "backward_expected",
    "bucket_count",  # how many integers `buckets` has
    "searches",  # how many times the planner has searched for equal columns
    "copies",  # this context's id, under which the GPU code keeps copies of its address lists; 0: it has no id yet
    # If not 0: after planning, `forward` runs the tape only if `arena_top` is at most this address, and no instruction
    # has much work; see `passes.py` of the recorder.
    "small_end",
    # The result of planning or running a pass. If `status` is TOO_SMALL, `needed_floats` and so on say how many floats,
    # integers of `index` and instructions of `tape` the plan needs.
    "status", "needed_floats", "needed_index", "needed_tape",
)  # fmt: skip
CONTEXT = Structure(*dict.fromkeys(RUNNING + BUFFERS + PLANNING))

# Values of `status`. READY: no error. TOO_SMALL: a buffer is too small for the plan. NOT_BELOW: `norm_and_update` has
# not updated the parameters, because the sum of squared gradients is not below the limit. NO_CODE: the kernel of
# instruction number `row` is not loaded. NO_HELPERS: nothing was planned, because Python has to start threads first.
# LARGE: the pass was planned, but not run, because of `small_end`.
READY, TOO_SMALL, NOT_BELOW, NO_CODE, NO_HELPERS, LARGE = range(6)

# A parameter. `value` and `gradient` are addresses that count floats; `needs_gradient` is 1 if it is trained. A lookup
# table has `rows` rows of `width` floats. A row is *touched* if gradients were added to it since the last update.
# `touched` is the address of a list, or 0 for other parameters. The list has how many rows are touched, the numbers of
# these rows in the next `rows` integers, then for each row 1 if it is touched, and last 1 if all rows count as touched.
# A matrix may have a copy in bfloat16s, for products, `copy` floats after its value; 0: it has none. The cache line
# before the copy begins with 0, or with another number if the copy must not be used. `product` is the opcode of
# products with the matrix; 0: that of STEP.
PARAMETER = Structure("value", "gradient", "needs_gradient", "touched", "width", "rows", "copy", "product")

# A row of a trainer's table. `parameter` is the parameter's row in `parameters`. `chosen` is 0 if the next update
# should not change the parameter, otherwise the number, from 1, of the parameter's group. `floats` is its size. For the
# kernel, the planner sets `column`, the number of floats in a column. Then follow the addresses of the tensors that the
# trainer keeps for this parameter, such as the momentum.
UPDATE = Structure("parameter", "chosen", "floats", "column")
EVERYTHING = 2  # in place of `is_dense`: all rows of all parameters, also of frozen ones

# The arguments of `norm_and_update`, which runs two passes of a trainer. `totals` is the address, which counts
# float32s, of two float64s: the sum of squared gradients, which `norm_and_update` writes, and its limit. `norm` and
# `opcode` are the opcodes for `plan_gradient_norm` and `plan_update`, which also get the other arguments.
BOTH = Structure("norm", "opcode", "count", "states", "numbers", "numbers_address", "dense", "totals")

NODE = Structure(
    "signature",  # the offset in `table` of the node's signature
    "operands",  # the offset in `records` of the first operand of the node's record
    "first_part",  # the number of the first node of the same record
    "depth",  # the node's depth, counted within its stage
    "value", "gradient",  # where the node's value and gradient start in memory; addresses count floats
    "flags",
    "stage",
)  # fmt: skip
# Flags of a node. REACHED: the loss depends on it. DIFFERENTIATED: the backward pass runs its steps. HAS_GRADIENT: its
# gradient has an address. MET: a temporary mark while the operands of a step are examined. USED_TWICE: it is an operand
# more than once, of nodes on which the loss depends. NEEDS_GRADIENT: it depends on a trained parameter; the forward
# plan sets this flag, and the backward plan sets all others.
REACHED, DIFFERENTIATED, HAS_GRADIENT, MET, USED_TWICE, NEEDS_GRADIENT = (1 << bit for bit in range(6))

MOST_NUMBERED = 256  # if a plan numbers more signatures than this, all nodes have stage 0
SIGNATURE_WORDS = MOST_NUMBERED // 64  # how many words of `predecessors` each signature has: a bit for each signature

# The steps of a signature in one direction. `begin` is their offset from the start of the signature, `count` their
# number.
STEPS = Structure("begin", "count")
# Deferred steps run at the end of the backward pass, once for all nodes of a signature. The planner uses the two
# *repeated* steps if it computes equal columns only once: the first copies a column, the second adds a column to
# another. A signature whose `determined_by` is NO_VIEW has no repeated steps.
DIRECTIONS = ("forward", "backward", "deferred", "repeated")
# The first integers of a signature; views follow. EACH operands add `size_each` to `size`, `columns_each` to `columns`.
SIGNATURE = Structure(
    "mark",  # where its MARK is in `marks`
    "kind",  # COMPUTED or another of the values below
    # The number of floats of a node; and how many of these, the last, are for its own steps only and have no gradient.
    "size", "size_each", "hidden",
    "columns", "columns_each",  # the number of columns of a node
    "operands", "variadic",  # the number of operands; if `variadic` is 1, of those with their own views
    # The number of attributes, and how many of them, counted from the first, are offsets of input values.
    "attributes", "constants",
    # An alias starts alias_offset + alias_scale * (its first attribute) floats after the start of its operand's value.
    "alias_scale", "alias_offset",
    "passes",  # 1 if operands can get a gradient from the node
    # The operands that must be computed before the node: `waits_count` operands, starting with number `waits_from`. If
    # `waits_each` is 1, also the operands that share EACH.
    "waits_from", "waits_count", "waits_each",
    # For a record with parts: the offset in `table` of a list of the parts' signatures, and the list's length. If
    # `last_part_repeats` is 1, the record has a first part, and another for each operand that shares EACH; all parts
    # beyond the end of the list use its last signature.
    "parts", "part_count", "last_part_repeats",
    "view_count",
    *(f"{direction}_{name}" for direction in DIRECTIONS for name in STEPS),
    # 1 if no backward step of a node changes the node's own gradient, so that it may share another gradient's memory.
    "keeps_gradient",
    # 1 for a cell: the last attributes are a HIDDEN_PLACE.
    "is_cell",
    # The number of the view that alone determines a column (see `Description.determined_by`), or NO_VIEW.
    "determined_by",
)  # fmt: skip
# What the planner notes about a signature.
MARK = Structure(
    "numbering", "number",
    # The address lists without repeated columns of a backward pass: where they begin in `index`, how many columns and
    # nodes they are for, and the value of `searches` when they were written.
    "once_base", "once_columns", "once_nodes", "once_search",
)  # fmt: skip
NO_VIEW = -1
# Values of `kind`. COMPUTED: kernels compute the value. INPUT: the program provides the value. ALIAS: the value is a
# section of the operand's value; the gradient is a section of the operand's gradient, unless the alias is the loss or
# all nodes get gradients. APART: an alias whose gradient is always in memory of its own.
COMPUTED, ALIAS, INPUT, APART = range(4)
TO_THE_END = -1  # a value of `waits_count`: the node waits for operand number `waits_from` and all later operands

# A view. The address of column c is base + offset + (c % period) * stride + (c // period) * outer + scale * attribute,
# or base + offset + c * stride + scale * attribute if period is 0. The base depends on `source`. The attribute is the
# record's attribute number index + c * index_step; if index is NO_INDEX, no attribute is added.
# `lists` has four bits for each of DIRECTIONS, the lowest for the first. They say which of the view's lists the steps
# read: values, gradients; values of the first column only, gradients of the first column only.
VIEW = Structure("source", "offset", "stride", "period", "outer", "index", "index_step", "scale", "lists")
# `source` is the number of an operand, whose address is the base, or one of these values, with another base. SELF: the
# node's own address. NOWHERE: 0. EACH: the address of operand number c // period among the operands that share this
# view. BEFORE: the address of the previous part. FIRST: the address of the record's first part, plus `scale` floats for
# each part between the first part and this part. HIDDEN: a place in the hidden floats of a cell; see HIDDEN_PLACE.
SELF, NOWHERE, EACH, BEFORE, FIRST, HIDDEN = -1, -2, -3, -4, -5, -6
NO_INDEX = -1
# The hidden floats of a group of cells are together: first one value of all `count` nodes, then the next. For node
# `number`, a view's base is begin + outer * count + stride * number; for gradients, with outer + index_step.
HIDDEN_PLACE = Structure("begin", "count", "number")

STEP = Structure(
    "opcode",
    "gradient_of",  # the number of the operand whose gradient the step adds to, or a negative value such as NO_OPERAND
    "parameters",  # the offset of the kernel's parameters in `table`
    # 0 if the step can only add to the operand's gradient. If the step can also overwrite the gradient: how many of the
    # gradient's floats, from the first on, the step writes, each of them once.
    "covers",
    "shared",  # how threads may share the step: BY_COLUMNS or another of the values below
    "work",  # an estimate of the picoseconds that one thread takes for a column; 0 if threads cannot share the step
    "copies",  # 1 if the step adds the node's gradient, unchanged, to the operand's gradient
    "first_view",  # the number of the view that is view 0 for the kernel
    "matrix",  # for a product with one matrix, the number of this operand; otherwise NO_OPERAND
)  # fmt: skip
# Values of `shared`. ALONE: one thread runs the step. BY_COLUMNS: each thread works on some of the columns. BY_ROWS:
# each thread computes some rows of the result. IF_DISTINCT: by columns if no two nodes of the group add to the same
# gradient, otherwise alone. EITHER: by columns if there are many columns, otherwise by rows. EITHER_IF_DISTINCT: by
# columns if there are many and no two nodes of the group add to the same gradient, otherwise by rows.
ALONE, BY_COLUMNS, BY_ROWS, IF_DISTINCT, EITHER, EITHER_IF_DISTINCT = range(6)
# Values of `gradient_of` that are not the number of an operand say when the step runs. NO_OPERAND: always. ANY_OPERAND:
# if the node, and so some operand, needs a gradient. EACH_OPERAND: if one of the operands that share EACH needs a
# gradient. BEFORE_OPERAND: if the previous part needs a gradient. OWN: always; it adds to a gradient in the node's own
# memory. OWN_FIRST: always; it is the first step to do so, and must overwrite.
NO_OPERAND, ANY_OPERAND, EACH_OPERAND, BEFORE_OPERAND, OWN, OWN_FIRST = -1, -2, -3, -4, -5, -6

INSTRUCTION = Structure(
    "opcode",
    "base",  # the offset in `index` of the instruction's address lists
    "count",  # the number of columns
    "parameters",  # the offset of the kernel's parameters in `table`
    "fresh",  # 1 if the memory that the kernel adds to is uninitialized, so that the kernel must overwrite it
    "shared",  # ALONE, BY_COLUMNS or BY_ROWS: how threads share the instruction
)

# How threads share work; see `machine/team.py`. `threads` is how many may share it, `helpers` how many helpers of the
# main thread have been started. Only instructions of `least_instruction` and passes of `least_pass` picoseconds are
# shared. A pass sets `wanted` to ask Python to start helpers or, from the time `look` on, to count the cores. `context`
# is the context whose tape is shared. `ahead` is WANTED or ORDERED if a helper should plan the backward pass, or else
# 0, and `planned` is how long it planned. `rows` and `paces` are the addresses of lists of HELPER and PACE structures.
SHARING = Structure(
    "threads", "least_instruction", "least_pass", "look", "helpers", "wanted", "rows", "balance", "context", "ahead",
    "planned", "paces",
)  # fmt: skip
# Statistics of similar passes: those of one direction (of 2) whose `shared_work` has as many bits (of 64). `passes`
# counts them. Those that one thread ran took `time` nanoseconds for `work` picoseconds; older ones have less weight.
PACE, PACES = Structure("passes", "time", "work"), 2 * 64
NEVER, WANTED = 1 << 62, 1  # NEVER is a value of `look`, WANTED of `ahead`
# A helper: its state, the lock that wakes it, and its order: to run share number `part` of the `parts` shares of
# instruction number `row`, or to plan the backward pass if `row` is negative.
HELPER = Structure("state", "lock", "row", "part", "parts")
# States of a helper. STARTED, COMING: started or woken, but not looking for work yet. IDLE: looking for work. ORDERED:
# it has an order, but has not begun. Only the main thread gives orders, takes them back, and wakes helpers.
STARTED, COMING, ASLEEP, IDLE, ORDERED, WORKING = range(6)
HELPER_ROW = 16  # integers from the start of a HELPER in `rows` to the next, so that no two share a cache line
MOST_THREADS = 64
# In `threads`, each thread has THREAD_ROW integers: RUNNING, and at offset THREAD_INSTRUCTION an INSTRUCTION.
THREAD_ROW, THREAD_INSTRUCTION = 32, 16

# For the CPU code that launches GPU kernels: the addresses of a list of the kernels' handles by opcode, of memory for
# the arguments of one kernel, of a list of pointers to these arguments, and of the address lists in GPU memory. The
# CPU code sets `failure` to the CUDA driver's error, or 0.
LAUNCH = Structure("functions", "arguments", "pointers", "index", "failure")

SEED_FILL = 3  # how many integers of `table` begin at `seed_fill`: the start, size and number that FILL gets
# Opcodes that only the planner uses: table.py adds their kernels, `fill`, `fill.stretches` and `round`, first.
FILL, CLEAR, ROUND = 0, 1, 16

CACHE_LINE = 16  # floats in a cache line; the memory of every node starts at a cache line


def aligned(size: int) -> int:
    """Round a number of floats up to whole cache lines."""
    return (size + (CACHE_LINE - 1)) & -CACHE_LINE
