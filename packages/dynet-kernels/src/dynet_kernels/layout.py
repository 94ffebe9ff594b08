"""Integer layouts shared by Python, the planner and the kernels: which integer means what. Needs no TVM.

All are int64. Addresses of values and gradients count floats; all other addresses count bytes. A record is
`signature, operands..., attributes...`; if it is variadic, the number of operands precedes them. An operand is a node's
number, or -1 - p for row p of `parameters`.
"""

from __future__ import annotations

from collections.abc import Iterator


class Structure:
    """Names for adjacent integers in memory. Each name is an attribute: the index of its integer, counted from 0.

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
        """Return the integers in `values` as a list in the order of the names. Every name must be given."""
        if values.keys() != self._indices.keys():
            raise ValueError(f"wanted {', '.join(self)}; got {', '.join(values)}")
        return [values[name] for name in self]


SHARES = ("others", "columns_before", "rows_before", "rows_after")
# The integers that are needed to run the instructions of a tape. CONTEXT begins with them. If threads share a tape,
# each thread runs it with its own copy of them. `table`, `index` and `tape` are addresses: see BUFFERS.
RUNNING = (
    "table", "index", "tape",
    # The address of a float, times 4, plus `origin` is its address in bytes. `origin` is 0, except while a forward pass
    # is planned for a GPU: then it makes the planner copy the inputs onto themselves (see `cuda/machine.py`).
    "origin",
    "row", "tape_count",  # the number of the instruction to run next, and how many instructions the tape has
    # The part of an instruction that this thread runs. If threads share it by columns: `others` is how many columns the
    # other threads run, `columns_before` how many of these come before this thread's columns. If they share it by rows:
    # `rows_before` and `rows_after` say which fraction of the rows comes before and after this thread's rows, in units
    # of 1 / WHOLE.
    *SHARES,
    "code",  # the address of a list, which has for each shard the handle of its function, or 0 if it is not loaded
    # Memory for the argument and the result of a call. By TVM's calling convention, each is a type and a value. The
    # only argument is the address of these RUNNING integers.
    "address_type", "address", "result_type", "result",
)  # fmt: skip
WHOLE = 1 << 16
MOST_SHARDS = 1 << 16  # the length of the list whose address is in `code`
INT_ARGUMENT = 1  # the value of `address_type`: TVM's type code for an integer

# The *context* is the structure through which Python and compiled code share data. After the integers of RUNNING it has
# the addresses of these buffers of int64, and then the integers of SCALARS.
BUFFERS = (
    # Written by Python. `table` has the signatures; in the context of a trainer, it has the trainer's UPDATE rows.
    # `parameters` has a PARAMETER row for each parameter.
    "table", "parameters",
    "new_records",  # the graph's records as Python writes them, with the offsets of input values in the input buffer
    "records",  # the planner's copy of the records, with the addresses of input values instead of their offsets
    "kept_records",  # a copy of the `new_records` of the kept plan (see SCALARS), to compare the next graph's with them
    "nodes",  # a NODE structure for each node of the graph
    "aliases",  # the numbers of the new nodes that are aliases
    "lookups",  # the numbers of the nodes that read rows of lookup tables and get a gradient from the backward pass
    # For each node that gets instructions in this plan: its number, the number of its signature, and its depth. Entry k
    # of all three belongs to one node, until `put_in_order` sorts `planned`.
    "planned", "numbers", "depths",
    "by_signature", "by_depth",  # the nodes in `planned`, sorted by signature; and sorted by depth, then by signature
    "counters",  # scratch memory for sorting
    # Scratch memory for the search for columns that are equal (see `plan/repeats.py`): a hash table; and for each
    # column of a group the number that it shares with those that equal it, then for each such number the first column.
    "buckets", "numbers_of_columns",
    # For each signature that has a number in this plan: the set of signatures that must run before it, as bits, and its
    # stage (see `plan/forward.py`).
    "predecessors", "stages",
    "stage_begins",  # for each stage: how many depths all earlier stages have together
    # The address lists and the instructions of the pass that is planned and run now. These addresses are copies of two
    # of the next four.
    "index", "tape",
    "forward_index", "forward_tape", "backward_index", "backward_tape",
    "sharing",  # a SHARING structure: how many threads share work, how much work is worth sharing, and helping threads
    "threads",  # for each thread that helps to run this tape: its own RUNNING integers and one INSTRUCTION
    "ahead",  # a copy of this CONTEXT, in which a helper plans the backward pass ahead (`machine/team.py`)
    # In the context of a trainer: `changes` is one integer, which counts the updates and other changes of parameters in
    # the thread that uses the trainer. `changed` is one integer, what this count was after the trainer's last update.
    "changes", "changed",
)  # fmt: skip
SCALARS = (
    "arena_top", "arena_end",  # where the free part of the memory for values begins and ends; addresses count floats
    "gradient_start", "gradient_end",  # where the memory for gradients begins and ends; addresses count floats
    "gradient_top",  # where the free part of the memory for gradients begins
    "never_fresh",  # 1 if kernels can only add to gradients, as on a GPU, and so cannot overwrite uninitialized ones
    "shared_work",  # how long one thread would take for all instructions that threads share, in picoseconds
    "index_top", "index_end",  # how many integers of `index` are in use, and how many it has
    "tape_end",  # how many instructions `tape` has room for
    "forward_index_end", "forward_tape_end", "backward_index_end", "backward_tape_end",
    # The kept plan: the last forward plan that began with a graph's first record. A graph with the same records uses it
    # again. `kept_end` is how many integers its records have (-1: no plan is kept), `kept_inputs` how many input values
    # it has, `kept_start` what `arena_top` was before the plan was made. The others are copies of `arena_top`,
    # `tape_count` and so on from the time when the plan was complete.
    "kept_end", "kept_inputs", "kept_start", "kept_arena_top", "kept_tape_count", "kept_index_top",
    "kept_shared_work", "kept_node_count", "kept_one_numbering",
    "plan",  # how many forward plans were made; while this is unchanged, so are the address lists of the forward pass
    "node_count",  # the number of nodes in the graph
    "deepest",  # how many different depths nodes can have: all depths are less than this
    # 1 if a single plan found the depths of all nodes of the graph, and no node is APART: the backward pass can
    # then use these depths.
    "one_numbering",
    # How many times the planner has begun to number signatures, and how many have got a number since the last time.
    "numbering", "numbered",
    "planned_count",  # the number of nodes in `planned`
    # `ordered` is the value of `plan` when the forward plan of a whole graph sorted the lists `by_signature` and
    # `by_depth`; -1 if the backward plan must sort them anew. `ordered_count` is how many nodes these lists have.
    "ordered", "ordered_count",
    "alias_count", "lookup_count",  # the number of nodes in `aliases` and in `lookups`
    "flags_used",  # 1 if nodes may still have flags that an earlier backward plan has set
    # The last backward plan, which may also be used again. What it was made for: `plan` (-1: no backward plan is kept),
    # the number of the loss node, 1 if it computes the gradients of all nodes, and `gradient_start`. The others are
    # copies of `tape_count`, `index_top` and `shared_work` from the time when the plan was complete.
    "backward_plan", "backward_loss", "backward_everything", "backward_start", "backward_tape_count",
    "backward_index_top", "backward_shared_work",
    "backward_plans",  # how many backward plans were made; while this is unchanged, so are the lists of the last one
    # 1 if the next backward pass is expected to start from the last node of a graph that a single plan computes,
    # because the one before did.
    "backward_expected",
    "bucket_count",  # how many integers `buckets` has
    "searches",  # how many times columns that are equal have been looked for
    "copies",  # an id of this context, under which the GPU code keeps copies of its address lists; 0: it has no id yet
    # `status` is the result of planning or running a pass. If it is TOO_SMALL, the others say how many floats, integers
    # of `index` and instructions of `tape` are needed.
    "status", "needed_floats", "needed_index", "needed_tape",
)  # fmt: skip
CONTEXT = Structure(*dict.fromkeys(RUNNING + BUFFERS + SCALARS))

# Values of `status`. READY: no error. TOO_SMALL: a buffer is too small for the plan. NOT_BELOW: `norm_and_update` has
# not updated the parameters, because the sum of squared gradients is not below the limit. NO_CODE: the kernel of
# instruction number `row` is not loaded. NO_HELPERS: nothing was planned, because Python has to start threads first.
READY, TOO_SMALL, NOT_BELOW, NO_CODE, NO_HELPERS = range(5)

# A parameter. `value` and `gradient` are addresses that count floats; `needs_gradient` is 1 if it is trained. A lookup
# table has `rows` rows of `width` floats. Its *touched* rows are those to which gradients were added since the last
# update. `touched` is the address of a list of them; for other parameters it is 0. The list has first the number of
# touched rows, then their numbers in the next `rows` integers, then for each row 1 if it is touched, and last 1 if all
# rows count as touched.
PARAMETER = Structure("value", "gradient", "needs_gradient", "touched", "width", "rows")

# One row of a trainer's table. `parameter` is the parameter's row in `parameters`, `chosen` is 1 if the next update is
# to change it, `floats` is its size. `column` is how many floats form one column; the planner writes this number, and
# the kernel reads it. Then follow the addresses of the tensors that the trainer keeps for this parameter, such as its
# momentum.
UPDATE = Structure("parameter", "chosen", "floats", "column")

# What `norm_and_update` needs, which runs two passes of a trainer. `totals` is the address, which counts float32s, of
# two float64 numbers: the sum of squared gradients, which it writes, and the limit. `norm` is the opcode of the kernel
# for `plan_gradient_norm`, `opcode` that of the kernel for `plan_update`. The others are arguments of these functions.
BOTH = Structure("norm", "opcode", "count", "states", "numbers", "numbers_at", "dense", "totals")

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
# gradient has an address. MET: a temporary mark while the operands of one step are examined. USED_TWICE: nodes on which
# the loss depends have it as an operand more than once. NEEDS_GRADIENT: it depends on a trained parameter; the forward
# plan sets this flag, the backward plan sets all others.
REACHED, DIFFERENTIATED, HAS_GRADIENT, MET, USED_TWICE, NEEDS_GRADIENT = (1 << bit for bit in range(6))

# The most signatures of a plan that are put into stages. In a plan with more, all signatures are in one stage.
MOST_NUMBERED = 256
WORDS = MOST_NUMBERED // 64  # the int64 words that each signature has in `predecessors`: one bit for each signature

# The steps that nodes of a signature need in one direction. `begin` is their offset from the start of the signature,
# `count` their number. The other two are sets of address lists as bits: 2 * k for the values of view k, 2 * k + 1 for
# its gradients. `lists` has those that the steps read for all columns, `first_lists` those that they read for the first
# column only. `lists` is ALL_LISTS, all bits, if a kernel does not say which lists it reads, or if it reads a list with
# the number MOST_LISTS or more, which has no bit.
STEPS = Structure("begin", "count", "lists", "first_lists")
MOST_LISTS, ALL_LISTS = 62, -1
# Deferred steps belong to the backward pass. They run at its end, once for all nodes of a signature.
# The *repeated* steps are two: the first copies a column, the second adds a column to another one. The planner uses
# them if it computes columns once that are equal. Signatures for which this cannot be have none.
DIRECTIONS = ("forward", "backward", "deferred", "repeated")
# The integers that a signature begins with; its views follow. A name that ends in `_each` is an amount to add for each
# operand that shares the view EACH.
SIGNATURE = Structure(
    # `number` is the signature's number in the present plan if `numbering` equals the context's `numbering`; otherwise
    # it is out of date.
    "numbering", "number",
    "kind",  # COMPUTED or another of the values below
    # The number of floats of a node's value; and how many of them, at its end, are for its own steps only and have no
    # gradient.
    "size", "size_each", "hidden",
    "columns", "columns_each",  # the number of columns of a node
    "operands", "variadic",  # the number of operands; if `variadic` is 1, of those with their own views
    # The number of attributes, and how many of them, counted from the first, are offsets of input values.
    "attributes", "constants",
    # Where an alias starts: in its operand's value, after alias_offset + alias_scale * (its first attribute) floats.
    "alias_scale", "alias_offset",
    "passes",  # 1 if operands can get a gradient from the node
    # Which operands must be computed before the node: `waits_count` of them, from number `waits_from` on. If
    # `waits_each` is 1, also those that share EACH.
    "waits_from", "waits_count", "waits_each",
    # For a record with parts: the offset in `table` of a list of their signatures, and its length. If
    # `last_part_repeats` is 1, the record has a first part and then one for each operand that shares EACH; the last
    # signature in the list serves all of its remaining parts.
    "parts", "part_count", "last_part_repeats",
    "view_count",
    *(f"{direction}_{name}" for direction in DIRECTIONS for name in STEPS),
    # 1 if no backward step of a node changes the node's own gradient, so that it may be an alias of another gradient
    "keeps_gradient",
    # The number of the view that alone determines a column (see `Description.determined_by`); NO_VIEW if there is none.
    "determined_by",
    # Written by the planner: the address lists without repeated columns that a backward pass has written for nodes of
    # this signature: where they begin in `index`, how many columns each has, for how many nodes they are, and what
    # `searches` was then.
    "once_base", "once_columns", "once_nodes", "once_search",
)  # fmt: skip
NO_VIEW = -1
# Values of `kind`. COMPUTED: kernels compute the value. INPUT: the value is given. ALIAS: the value is a part of the
# operand's value. Its gradient is a part of the operand's gradient, unless the alias is the loss or the gradients of
# all nodes are computed. APART: an alias that always has its own gradient.
COMPUTED, ALIAS, INPUT, APART = range(4)
TO_THE_END = -1  # a value of `waits_count`: the node waits for all operands from number `waits_from` on

# A view. The address of column c is base + offset + (c % period) * stride + (c // period) * outer + scale * attribute,
# or base + offset + c * stride + scale * attribute if period is 0. The base depends on `source`. The attribute is the
# record's attribute number index + c * index_step; if index is NO_INDEX, no attribute is added.
VIEW = Structure(
    "source", "offset", "stride", "period", "outer", "index", "index_step", "scale",
)  # fmt: skip
# `source` is the number of an operand, whose address is then the base, or one of these. SELF: the base is the address
# of the node itself. NOWHERE: it is 0. EACH: it is the address of operand number c // period of those that share this
# view. BEFORE: it is the address of the part before this one. FIRST: it is the address of the record's first part, plus
# `scale` floats for each part between the first one and this one.
SELF, NOWHERE, EACH, BEFORE, FIRST = -1, -2, -3, -4, -5
NO_INDEX = -1

STEP = Structure(
    "opcode",
    "gradient_of",  # the number of the operand whose gradient the step adds to, or a negative value such as NO_OPERAND
    "parameters",  # the offset of the kernel's parameters in `table`
    # 0 if the step can only add to the operand's gradient. If it can also overwrite it: how many floats of it the step
    # writes, from the first one on and each once.
    "covers",
    "shared",  # how threads may share the step: BY_COLUMNS or another of the values below
    "work",  # about how many picoseconds one thread takes for a column; 0 if threads cannot share the step
    "copies",  # 1 if the step adds the node's gradient, unchanged, to the operand's gradient
)  # fmt: skip
# Values of `shared`. ALONE: one thread runs the step. BY_COLUMNS: each thread works on some of the columns. BY_ROWS:
# each thread computes some rows of the result. IF_DISTINCT: by columns if no two nodes of the group add to the same
# gradient, else alone. EITHER: by columns if there are many columns, else by rows. EITHER_IF_DISTINCT: by columns if
# there are many columns and no two nodes of the group add to the same gradient, else by rows.
ALONE, BY_COLUMNS, BY_ROWS, IF_DISTINCT, EITHER, EITHER_IF_DISTINCT = range(6)
# Values of `gradient_of` that are not the number of an operand. NO_OPERAND: the step always runs. ANY_OPERAND: it runs
# if the node needs a gradient, because then some operand does. EACH_OPERAND: it runs if one of the operands that share
# EACH needs a gradient. BEFORE_OPERAND: it runs if the part before this one needs a gradient.
NO_OPERAND, ANY_OPERAND, EACH_OPERAND, BEFORE_OPERAND = -1, -2, -3, -4

INSTRUCTION = Structure(
    "opcode",
    "base",  # the offset in `index` at which the address lists of this instruction start
    "count",  # the number of columns
    "parameters",  # the offset of the kernel's parameters in `table`
    "fresh",  # 1 if the memory that the kernel adds to is uninitialized, so that the kernel must overwrite it
    "shared",  # ALONE, BY_COLUMNS or BY_ROWS: how threads share the instruction
)

# `threads` is how many threads may share work. They share an instruction that takes one thread at least
# `least_instruction` picoseconds, and a pass whose shared instructions take at least `least_pass` picoseconds together.
# If `least_pass` is 0, all passes are shared by all threads, whether it pays or not. `look` is the time, by a clock of
# nanoseconds, from which on Python has to count the cores again; NEVER if the program has set the number of threads.
# The rest is for the helpers, the threads that help Python's main thread; see `machine/team.py`. `helpers` is how many
# there are. `wanted` is 1 if Python has to start more, or to look again. `rows` is the address of their rows, of
# HELPER_ROW integers each, which begin with those of HELPER. Row 0 is not used. `balance` is what sharing has brought
# lately, in nanoseconds. Of the pass that they share: `context` is the address of its CONTEXT, or 0 after the pass, and
# `ahead` is WANTED if a helper is to plan the backward pass, ORDERED if one has been told to. `planned` is for how many
# nanoseconds it did. `paces` is the address of PACES structures PACE.
SHARING = Structure(
    "threads", "least_instruction", "least_pass", "look", "helpers", "wanted", "rows", "balance", "context", "ahead",
    "planned", "paces",
)  # fmt: skip
# Of forward or backward passes with about as much work: `passes` counts them. Those that ran alone took `time`
# nanoseconds for a `shared_work` of `work` picoseconds in all; old ones are forgotten little by little.
PACE, PACES = Structure("passes", "time", "work"), 2 * 64
NEVER, WANTED = 1 << 62, 1
# A helper: its state, the lock that wakes it, and its order: part number `part` of `parts` of instruction number `row`,
# or to plan the backward pass if `row` is negative.
HELPER = Structure("state", "lock", "row", "part", "parts")
# States of a helper. STARTED, COMING: it was started or woken, but does not look for work yet. IDLE: it does. ORDERED:
# it has an order, but has not begun. Only the main thread gives orders, takes them back, and wakes helpers.
STARTED, COMING, ASLEEP, IDLE, ORDERED, WORKING = range(6)
# Rows of two cache lines, so that threads do not wait for each other's writes.
HELPER_ROW = 16
MOST_THREADS = 64
# The buffer `threads` has THREAD_ROW integers for each thread: from offset 0 on the RUNNING integers, from offset
# THREAD_INSTRUCTION on one INSTRUCTION.
THREAD_ROW, THREAD_INSTRUCTION = 32, 16

# What the CPU code that launches GPU kernels needs: the addresses of a list of the kernels' handles by opcode, of
# memory for the arguments of one kernel, of a list of pointers to these arguments, and of the address lists in GPU
# memory. The code writes `failure`: 0, or the error of the CUDA driver.
LAUNCH = Structure("functions", "arguments", "pointers", "index", "failure")

# The first TABLE_HEAD integers of `table` are reserved for parameters of instructions that the planner adds itself.
# From SEED_FILL on they are (start, size, number) for the FILL instruction that sets the gradient of the loss to 1.
SEED_FILL, TABLE_HEAD = 0, 8
FILL, CLEAR = 0, 1  # opcodes of the kernels for instructions that the planner adds itself; no step has these opcodes

CACHE_LINE = 16  # floats in a cache line; the memory of every node starts at a cache line


def aligned(size: int) -> int:
    """Round a number of floats up to whole cache lines."""
    return (size + (CACHE_LINE - 1)) & -CACHE_LINE
