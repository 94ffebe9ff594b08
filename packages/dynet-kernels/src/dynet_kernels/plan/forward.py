"""Plans the forward pass: assigns memory to values, and writes the instructions that compute them, depth by depth."""

from __future__ import annotations

from .. import layout
from ..plain import Words, plain
from .addresses import write_lists
from .grouping import each_group, put_in_order
from .nodes import Node, Plan, whole_lines
from .repeats import copy_values, values_once
from .stages import find_depths, note_edges, start_numbering
from .structs import Context
from .tape import add_steps, start_tape, use_tape

# Records are compared in chunks of so many integers; only after each chunk does the loop check for a difference.
CHUNK = 64
KEPT = ("arena_top", "node_count", "one_numbering", "tape_count", "index_top", "shared_work")


@plain
def plan_forward(context, begin, end, inputs_at, inputs_begin, inputs_end) -> None:
    """Plan the pass of the new records: the integers `begin` to `end` - 1 of `new_records`. Copy their input values.

    The values are the floats `inputs_begin` to `inputs_end` - 1 of the graph's input buffer at `inputs_at`. The last
    plan of a whole graph is kept. It is used again if the new records are a whole graph and equal those of the plan,
    whatever their input values.
    """
    use_tape(Context(context), "forward")
    plan = Plan(context)
    inputs = Inputs(plan, inputs_at, inputs_begin, inputs_end - inputs_begin)
    if is_kept(plan, begin, end, inputs):
        inputs.take()
        for name in KEPT:
            setattr(plan.context, name, getattr(plan.context, f"kept_{name}"))
        plan.context.status = layout.READY
    else:
        plan_anew(plan, inputs, begin, end)


class Inputs:
    """`count` new input values, at offset `begin` of the buffer at `address`. They are copied to address `start`."""

    def __init__(self, plan: Plan, address, begin, count):
        self.source, self.memory = Words(address, "float32"), Words(plan.context.origin, "float32")
        self.begin, self.count, self.start = begin, count, plan.context.arena_top

    @plain
    def take(self) -> None:
        for place in range(self.count):
            self.memory[self.start + place] = self.source[self.begin + place]


@plain
def is_kept(plan: Plan, begin, end, inputs: Inputs):
    """Whether the kept plan can be used again for the new records.

    It can if these are a whole graph and equal the records of the kept plan, if there are as many input values, and if
    the free memory for values starts at the same address.
    """
    context = plan.context
    if begin != 0 or context.kept_end != end or context.kept_inputs != inputs.count:
        return 0
    if context.kept_start != inputs.start:
        return 0
    place, difference = 0, 0
    while place < end and difference == 0:
        for k in range(min(end - place, CHUNK)):
            difference |= plan.new_records[place + k] ^ plan.kept_records[place + k]
        place += CHUNK
    return difference == 0


@plain
def plan_anew(plan: Plan, inputs: Inputs, begin, end) -> None:
    """Plan the pass. If a buffer is too small, set `status` to TOO_SMALL."""
    context = plan.context
    start_tape(context)
    context.fill(plan=context.plan + 1, kept_end=-1, one_numbering=begin == 0)
    forget_nodes(plan, begin)
    if begin == 0:
        context.flags_used = 0
    for place in range(begin, end):
        plan.records[place] = plan.new_records[place]
    earliest = context.node_count
    start_numbering(plan)
    add_nodes(plan, inputs, begin, end)
    values = inputs.start + whole_lines(inputs.count)
    top = values + context.needed_floats
    context.needed_floats = top - inputs.start
    if top > context.arena_end or lists_are_too_long(context):
        context.status = layout.TOO_SMALL
        return
    context.arena_top = top
    inputs.take()
    find_depths(plan, earliest, context.node_count, is_computed)
    put_in_order(plan)
    context.fill(ordered=context.plan if begin == 0 else -1, ordered_count=context.planned_count)
    place_values(plan, values)
    place_aliases(plan)
    add_all_steps(plan)
    if begin == 0 and context.status == layout.READY:
        keep(plan, inputs, end)


@plain
def forget_nodes(plan: Plan, begin) -> None:
    """Remove the nodes of records from integer `begin` on: `cg_revert` removed them, or they are planned again now."""
    count = 0 if begin == 0 else plan.context.node_count
    while count > 0 and plan.node(count - 1).operands > begin:
        count -= 1
    plan.context.node_count = count


@plain
def add_nodes(plan: Plan, inputs: Inputs, begin, end) -> None:
    """Append a row to the buffer `nodes` for each node of the new records. List the aliases among them in `aliases`.

    In the planner's copy `records`, offsets in the input buffer become the addresses to which the values will be
    copied. Also compute what the nodes need: `needed_floats` of memory for values, `needed_index` and `needed_tape`.
    """
    context = plan.context
    earliest = context.node_count
    number, position, floats, index, tape, aliases = earliest, begin, 0, 0, 0, 0
    rebase = inputs.start - inputs.begin
    while position < end:
        record = plan.record(position)
        whole, attributes = record.signature, record.attributes
        for k in range(whole.constants):
            plan.records[attributes + k] += rebase
        first = number
        for part in range(record.part_count):
            node = plan.node(number)
            node.fill(signature=whole.part(part).start, operands=record.start, first_part=first)
            note_operands(plan, node, earliest)
            signature = node.signature
            kind = signature.kind
            if kind == layout.COMPUTED:
                floats += node.room
                index += 2 * signature.view_count * node.columns
                tape += signature.forward.count
                if signature.determined_by != layout.NO_VIEW:
                    index += 2 * (signature.view_count + 1) * node.columns
                    tape += 1
            elif kind == layout.INPUT:
                node.value = plan.records[attributes]  # the address of the value
            else:
                plan.aliases[aliases] = number
                aliases += 1
                if kind == layout.APART:
                    context.one_numbering = 0
            number += 1
        position = attributes + whole.attributes
    context.fill(node_count=number, needed_floats=floats, needed_index=index, needed_tape=tape, alias_count=aliases)


@plain
def note_operands(plan: Plan, node: Node, earliest) -> None:
    """Note which signatures must run before the node's, and whether the node needs a gradient.

    It does if its signature passes gradients on, and an operand, or the part before it, needs one. Nodes before
    `earliest` are computed already, so nothing is noted for them.
    """
    needs = node.part_before.needs_gradient if node.is_later_part else 0

    def visit(operand):
        nonlocal needs
        needs |= plan.needs_gradient(operand)

    note_edges(plan, node, earliest, visit)
    node.flags = needs * node.signature.passes * layout.NEEDS_GRADIENT


@plain
def is_computed(node: Node):
    return node.signature.kind == layout.COMPUTED


@plain
def lists_are_too_long(context: Context):
    return context.needed_index > context.index_end or context.needed_tape > context.tape_end


@plain
def place_values(plan: Plan, start) -> None:
    """Assign memory to the values of nodes, from address `start` on, in the order in which the nodes are computed."""
    top = start
    for k in range(plan.context.planned_count):
        node = plan.node(plan.by_depth[k])
        node.value = top
        top += node.room


@plain
def place_aliases(plan: Plan) -> None:
    for k in range(plan.context.alias_count):
        node = plan.node(plan.aliases[k])
        node.value = plan.address(node.record.operand(0), "value") + node.alias_offset


@plain
def add_all_steps(plan: Plan) -> None:
    for group in each_group(plan, plan.by_depth, plan.context.planned_count, Node.runs_with):
        steps = group.signature.forward
        equal, block = values_once(group, write_lists(group, steps))
        add_steps(group, steps, block)
        copy_values(equal)


@plain
def keep(plan: Plan, inputs: Inputs, end) -> None:
    """Keep this plan of a whole graph, whose records have `end` integers, to use it again for equal records."""
    context = plan.context
    for place in range(end):
        plan.kept_records[place] = plan.new_records[place]
    context.fill(kept_end=end, kept_inputs=inputs.count, kept_start=inputs.start)
    for name in KEPT:
        setattr(context, f"kept_{name}", getattr(context, name))
