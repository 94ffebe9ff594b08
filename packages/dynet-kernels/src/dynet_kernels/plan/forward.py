"""Plans the forward pass: assigns memory to values, and writes the instructions that compute them, depth by depth.

The functions here emit the code that does this. Nodes of one signature and depth form a *group*: they share
instructions. A *record* is one operation of the graph as integers, and adds one node or several. An *alias* is a node
whose value is a part of its operand's value. An *input* is a node whose value the program has given. Other terms are
explained in `layout`.
"""

from __future__ import annotations

from .. import layout as at
from .. import tir
from ..plain import Words
from ..tir import let
from .flow import Variable, all_of, any_of, branch, each, forever, pick, stop_unless, when, yes
from .grouping import each_group, put_in_order
from .nodes import Node, Plan, whole_lines
from .repeats import copy_values, values_once
from .stages import find_depths, note_edges, start_numbering
from .structs import Context
from .tape import add_steps, start_tape, use_tape, write_lists

# Integers of the new and the kept records are compared this many at a time; only after each such chunk does the loop
# check whether they differed.
CHUNK = 64
KEPT = ("arena_top", "node_count", "one_numbering", "tape_count", "index_top", "shared_work")


def plan_forward(context, begin, end, inputs_at, inputs_begin, inputs_end) -> None:
    """Plan the forward pass of the *new* records, which are not computed yet.

    Also copy their input values to the memory for values. The last plan of a whole graph is kept. It is used again if
    the new records are a whole graph and are the same as in that plan; the input values may differ.

    Args:
        context: the address of the planner's context.
        begin, end: the new records are the integers `begin` to `end` - 1 of the buffer `new_records`.
        inputs_at: the address of the graph's input buffer, which has the numbers that the program gave the graph.
        inputs_begin, inputs_end: the new input values are the floats `inputs_begin` to `inputs_end` - 1 of this buffer.
    """
    use_tape(Context(Words(context)), "forward")
    plan = Plan(context)
    inputs = Inputs(plan, inputs_at, inputs_begin, let(inputs_end - inputs_begin))
    with branch(is_kept(plan, begin, end, inputs.count)) as (kept, otherwise):
        with kept:
            inputs.take()
            for name in KEPT:
                setattr(plan.context, name, getattr(plan.context, f"kept_{name}"))
            plan.context.status = at.READY
        with otherwise:
            plan_anew(plan, inputs, begin, end)


class Inputs:
    """The new input values, which `take` copies to the memory for values.

    They are `count` floats of the input buffer at `address`, from offset `begin` on. `start` is where they are copied
    to: the first free address in the memory for values.
    """

    def __init__(self, plan: Plan, address, begin, count):
        self.source = tir.buffer_at(address, "float32")
        self.memory = tir.buffer_at(plan.context.origin, "float32")
        self.begin, self.count, self.start = begin, count, plan.context.arena_top

    @property
    def end(self):
        """The first free address after the input values, once `take` has copied them."""
        return let(self.start + whole_lines(self.count))

    def take(self) -> None:
        with each(self.count) as place:
            tir.store(self.memory, self.start + place, self.source[self.begin + place])


def is_kept(plan: Plan, begin, end, input_count):
    """Whether the kept plan can be used again for the new records: the integers `begin` to `end` - 1 of `new_records`.

    It can if these are a whole graph and equal the records of the kept plan, if there are as many input values
    (`input_count`), and if the free memory for values starts at the same address.
    """
    context, same = plan.context, Variable(0)
    like_before = all_of(
        begin == 0,
        context.kept_end == end,
        context.kept_inputs == input_count,
        context.kept_start == context.arena_top,
    )
    with when(like_before):
        place, difference = Variable(0), Variable(0)
        with forever():
            stop_unless(all_of(place.value < end, difference.value == 0))
            start = place.value
            with each(pick(end - start < CHUNK, end - start, CHUNK)) as k:
                difference.value |= plan.new_records[start + k] ^ plan.kept_records[start + k]
            place.value = start + CHUNK
        same.value = yes(difference.value == 0)
    return same.value != 0


def plan_anew(plan: Plan, inputs: Inputs, begin, end) -> None:
    """Plan the pass when the kept plan cannot be used again. If a buffer is too small, set `status` to TOO_SMALL."""
    context = plan.context
    start_tape(context)
    context.fill(plan=context.plan + 1, kept_end=-1, one_numbering=yes(begin == 0))
    forget_nodes(plan, begin)
    with when(begin == 0):
        context.flags_used = 0
    with each(end - begin) as place:
        plan.records[begin + place] = plan.new_records[begin + place]
    earliest = context.node_count
    start_numbering(plan)
    needed, aliases = add_nodes(plan, inputs, begin, end)
    top = let(inputs.end + needed.floats.value)
    too_small = any_of(
        top > context.arena_end, needed.index.value > context.index_end, needed.tape.value > context.tape_end
    )
    with branch(too_small) as (stop, go_on):
        with stop:
            context.fill(
                status=at.TOO_SMALL,
                needed_floats=top - inputs.start,
                needed_index=needed.index.value,
                needed_tape=needed.tape.value,
            )
        with go_on:
            context.arena_top = top
            inputs.take()
            find_depths(plan, earliest, context.node_count, is_computed)
            put_in_order(plan)
            context.fill(ordered=pick(begin == 0, context.plan, -1), ordered_count=context.planned_count)
            place_values(plan, inputs.end)
            place_aliases(plan, aliases.value)
            add_all_steps(plan)
            with when(all_of(begin == 0, context.status == at.READY)):
                keep(plan, inputs, end)


def forget_nodes(plan: Plan, begin) -> None:
    """Remove all nodes whose records begin at integer `begin` or later from the buffer `nodes`.

    These records are not in the graph any more, because `cg_revert` has removed them, or they are planned again now.
    """
    count = Variable(pick(begin == 0, 0, plan.context.node_count))
    with forever():
        stop_unless(count.value > 0)
        stop_unless(plan.node(count.value - 1).operands > begin)
        count.value -= 1
    plan.context.node_count = count.value


class Needed:
    """How much memory the new nodes need.

    `floats` is the number of floats for their values, `index` the number of entries in address lists, and `tape` the
    number of instructions.
    """

    def __init__(self):
        self.floats, self.index, self.tape = Variable(0), Variable(0), Variable(0)


def add_nodes(plan: Plan, inputs: Inputs, begin, end) -> tuple[Needed, Variable]:
    """Append a row to the buffer `nodes` for each node of the new records. List the aliases among them in `aliases`.

    In the planner's copy of the records, `records`, replace each offset in the input buffer by the address to which the
    input values there will be copied.

    Returns:
        The memory that the nodes need, and the number of aliases.
    """
    context, needed, aliases = plan.context, Needed(), Variable(0)
    earliest = context.node_count
    number, position = Variable(earliest), Variable(begin)
    rebase = let(inputs.start - inputs.begin)
    with forever():
        stop_unless(position.value < end)
        record = plan.record(position.value)
        whole, attributes = record.signature, record.attributes
        with each(whole.constants) as k:
            plan.records[attributes + k] += rebase
        first = number.value
        with each(record.part_count) as part:
            node = plan.node(number.value)
            node.fill(signature=whole.part(part).start, operands=record.start, first_part=first)
            note_operands(plan, node, earliest)
            add_node(plan, node, attributes, needed, aliases)
            number.value += 1
        position.value = attributes + whole.attributes
    context.node_count = number.value
    return needed, aliases


def note_operands(plan: Plan, node: Node, earliest) -> None:
    """Note which signatures must run before the signature of a node, and whether the node needs a gradient.

    A node needs a gradient if its signature passes gradients on, and if one of its operands, or the part before it in
    its record, needs a gradient.

    Args:
        earliest: the number of the first new node. Nodes before it are computed already, so nothing is noted for them.
    """
    needs = Variable(0)

    def visit(operand):
        needs.value |= plan.needs_gradient(operand)

    with when(node.is_later_part):
        needs.value = node.part_before.needs_gradient
    note_edges(plan, node, earliest, visit)
    node.flags = needs.value * node.signature.passes * at.NEEDS_GRADIENT


def add_node(plan: Plan, node: Node, attributes, needed: Needed, aliases: Variable) -> None:
    """Add the memory that a node needs to `needed`. If it is an input, set its address. If it is an alias, list it.

    Args:
        attributes: the offset in `records` of the first attribute of the node's record. For an input, this attribute is
            the address of the value.
        aliases: how many aliases are listed so far; increased by 1 for an alias.
    """
    signature = node.signature
    kind = signature.kind
    with branch(kind == at.COMPUTED) as (computed, others):
        with computed:
            needed.floats.value += node.room
            determined = yes(signature.determined_by != at.NO_VIEW)
            lists = let(2 * signature.view_count * node.columns)
            needed.index.value += lists + determined * (lists + 2 * node.columns)
            needed.tape.value += signature.forward.count + determined
        with others, branch(kind == at.INPUT) as (input_node, alias):
            with input_node:
                node.value = plan.records[attributes]
            with alias:
                plan.aliases[aliases.value] = node.number
                aliases.value += 1
                with when(kind == at.APART):
                    plan.context.one_numbering = 0


def is_computed(node: Node):
    return node.signature.kind == at.COMPUTED


def place_values(plan: Plan, start) -> None:
    """Assign memory to the values of nodes, from address `start` on, in the order in which the nodes are computed."""
    top = Variable(start)
    with each(plan.context.planned_count) as k:
        node = plan.node(plan.by_depth[k])
        node.value = top.value
        top.value += node.room


def place_aliases(plan: Plan, count) -> None:
    """Set the addresses of the first `count` nodes in `aliases`, whose values are parts of their operands' values."""
    with each(count) as k:
        node = plan.node(plan.aliases[k])
        node.value = plan.address(node.record.operand(0), "value") + node.alias_offset


def add_all_steps(plan: Plan) -> None:
    """Write all instructions of the pass to the tape, for one group of nodes after the other."""
    for group in each_group(plan, plan.by_depth, plan.context.planned_count, Node.runs_with):
        steps = group.signature.forward
        equal, block = values_once(group, write_lists(group, steps))
        add_steps(group, steps, block)
        copy_values(equal)


def keep(plan: Plan, inputs: Inputs, end) -> None:
    """Keep this plan of a whole graph, whose records have `end` integers, to use it again for equal records."""
    context = plan.context
    with each(end) as place:
        plan.kept_records[place] = plan.new_records[place]
    context.fill(kept_end=end, kept_inputs=inputs.count, kept_start=inputs.start)
    for name in KEPT:
        setattr(context, f"kept_{name}", getattr(context, name))
