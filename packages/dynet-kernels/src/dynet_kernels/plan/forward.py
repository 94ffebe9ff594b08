"""Plans the forward pass: finds depths, assigns memory to values, and writes the instructions, depth by depth.

First, each signature gets a stage: the number of signatures that it depends on, directly or indirectly, including
itself. Lower stages run first. Signatures that depend on each other, such as those of a recurrent network, have the
same stage. Within a stage, the depth of a node is the length of the longest path to it. So all nodes of a recurrent
network's output layer, one for each time step, have the same depth, and the matrix of this layer is read once.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import layout
from ..plain import Words, plain, popcount
from .nodes import Context, Node, Plan, Signature
from .repeats import copy_values, skip_equal_columns
from .tape import add_steps, each_group, sort_planned, start_tape, use_tape, write_lists


@plain
def start_numbering(plan: Plan) -> None:
    """Begin to number signatures from 0. Earlier numbers become invalid."""
    plan.context.numbering += 1
    plan.context.numbered = 0


@plain
def number_signature(plan: Plan, signature: Signature) -> None:
    """Give a signature the next number, unless it already has one since the last call of `start_numbering`."""
    context, mark = plan.context, plan.mark(signature)
    if mark.numbering == context.numbering:
        return
    index = context.numbered
    mark.numbering = context.numbering
    mark.number = index
    context.numbered = index + 1
    if index < layout.MOST_NUMBERED:
        for word in range(layout.SIGNATURE_WORDS):
            plan.predecessors[index * layout.SIGNATURE_WORDS + word] = 0
        add_dependency(plan, index, index)  # because a stage counts the signature itself


@plain
def add_dependency(plan: Plan, earlier, later) -> None:
    """Note in `predecessors`, which has 64 bits per integer, that signature `later` depends on signature `earlier`."""
    if max(earlier, later) < layout.MOST_NUMBERED:
        plan.predecessors[later * layout.SIGNATURE_WORDS + (earlier >> 6)] |= 1 << (earlier & 63)


@plain
def add_dependencies(plan: Plan, node: Node, earliest, visit: Callable = lambda operand: None) -> None:
    """Note in `predecessors` that a node's signature depends on those of its operands and of the previous part.

    Ignore operands with numbers below `earliest`: parameters and computed nodes. Call visit(operand) for each operand.
    """
    number_signature(plan, node.signature)
    index = plan.number_of(node)
    if node.is_later_part:
        add_dependency(plan, plan.number_of(node.part_before), index)
    for operand in node.record.awaited_operands():
        visit(operand)
        if operand >= earliest:
            add_dependency(plan, plan.number_of(plan.node(operand)), index)


@plain
def find_stages(plan: Plan) -> None:
    """Compute the stage of each signature.

    Before the call, row k of the bit matrix `predecessors` marks the signatures on which signature k depends directly.
    Computing the transitive closure in place adds indirect dependencies.
    """
    count, predecessors = plan.context.numbered, plan.predecessors
    if count > layout.MOST_NUMBERED:
        return
    words = (count + 63) >> 6
    for via in range(count):
        for index in range(count):
            row = index * layout.SIGNATURE_WORDS
            if (predecessors[row + (via >> 6)] >> (via & 63)) & 1:
                for k in range(words):
                    predecessors[row + k] |= predecessors[via * layout.SIGNATURE_WORDS + k]
    for index in range(count):
        stage = 0
        for k in range(words):
            stage += popcount(predecessors[index * layout.SIGNATURE_WORDS + k])
        plan.stages[index] = stage


@plain
def find_depths(plan: Plan, first, end, has_instructions: Callable) -> None:
    """Compute the stages and depths of nodes `first` to `end` - 1, after `add_dependencies` was called for each.

    A node's depth is the largest depth of its operands in the same stage (or 0), plus 1 if has_instructions(node).
    List nodes with instructions in `planned`, their signatures' numbers in `numbers`, and their depths in `depths`.
    """
    find_stages(plan)
    has_stages = plan.context.numbered <= layout.MOST_NUMBERED
    stage_count = plan.context.numbered + 1 if has_stages else 1
    for k in range(stage_count):
        plan.stage_begins[k] = 0
    plan.context.planned_count = 0
    for index in range(first, end):
        node = plan.node(index)
        signature = plan.number_of(node)
        stage = plan.stages[signature] if has_stages else 0
        depth = 0

        def put_after(earlier: Node):
            nonlocal depth
            if earlier.stage == stage:  # noqa: B023
                depth = max(depth, earlier.depth)

        if node.is_later_part:
            put_after(node.part_before)
        for operand in node.record.awaited_operands():
            if operand >= first:
                put_after(plan.node(operand))
        if has_instructions(node):
            depth += 1
            # Until `convert_depths` reads it, `by_depth` holds the stages of the planned nodes.
            plan.by_depth[plan.context.planned_count] = stage
            add_planned(plan, node, signature, depth)
        node.stage = stage
        node.depth = depth
        plan.stage_begins[stage] = max(plan.stage_begins[stage], depth + 1)
    convert_depths(plan, stage_count)


@plain
def add_planned(plan: Plan, node: Node, signature_number, depth) -> None:
    position = plan.context.planned_count
    plan.planned[position] = node.number
    plan.numbers[position] = signature_number
    plan.depths[position] = depth
    plan.context.planned_count = position + 1


@plain
def convert_depths(plan: Plan, stage_count) -> None:
    """Convert the depths in `depths`, which are counted within stages, to depths counted over all stages.

    Before the call, `by_depth` has the stages of the planned nodes, and `stage_begins` the number of depths of each
    stage. Afterwards, `stage_begins` has the number of depths of all earlier stages.
    """
    deepest = 0
    for stage in range(stage_count):
        depth_count = plan.stage_begins[stage]
        plan.stage_begins[stage] = deepest
        deepest += depth_count
    plan.context.deepest = deepest
    for position in range(plan.context.planned_count):
        plan.depths[position] += plan.stage_begins[plan.by_depth[position]]


# When records are compared, the loop checks only after this many integers whether any of them differ, to be faster.
COMPARED_AT_ONCE = 64
# These integers of the context are kept with a plan: each has a copy whose name begins with `kept_`.
KEPT_FIELDS = ("arena_top", "node_count", "one_numbering", "tape_count", "index_top", "shared_work", "most_work")


@plain
def plan_forward(context_address, begin, end, inputs_address, inputs_begin, inputs_end) -> None:
    """Plan the pass of the new records, integers `begin` to `end` - 1 of `new_records`. Copy their input values.

    Input values are floats `inputs_begin` to `inputs_end` - 1 of the input buffer at `inputs_address`. The last
    plan of a whole graph is kept, and reused for a whole graph with the same records, whatever the input values.
    """
    use_tape(Context(context_address), "forward")
    plan = Plan(context_address)
    inputs = Inputs(plan, inputs_address, inputs_begin, inputs_end - inputs_begin)
    if can_reuse_plan(plan, begin, end, inputs):
        inputs.copy()
        plan.context.take(plan.context, KEPT_FIELDS, of="kept_{}")  # the results of the kept plan
        plan.context.status = layout.READY
    else:
        plan_anew(plan, inputs, begin, end)


class Inputs:
    """`count` new input values, at offset `begin` of the buffer at `address`. `copy` copies them to address `start`."""

    def __init__(self, plan: Plan, address, begin, count):
        self.source, self.memory = Words(address, "float32"), Words(plan.context.origin, "float32")
        self.begin, self.count, self.start = begin, count, plan.context.arena_top

    @plain
    def copy(self) -> None:
        for k in range(self.count):
            self.memory[self.start + k] = self.source[self.begin + k]


@plain
def can_reuse_plan(plan: Plan, begin, end, inputs: Inputs):
    """Whether the kept plan can be used for the new records.

    The records must be a whole graph and equal those of the kept plan, with the same number of input values. The free
    memory for values must start at the same address.
    """
    context = plan.context
    if begin != 0 or context.kept_end != end or context.kept_inputs != inputs.count:
        return 0
    if context.kept_start != inputs.start:
        return 0
    position, difference = 0, 0
    while position < end and difference == 0:
        for k in range(min(end - position, COMPARED_AT_ONCE)):
            difference |= plan.new_records[position + k] ^ plan.kept_records[position + k]
        position += COMPARED_AT_ONCE
    return difference == 0


@plain
def plan_anew(plan: Plan, inputs: Inputs, begin, end) -> None:
    """Plan the pass without the kept plan. If a buffer is too small, set `status` to TOO_SMALL."""
    context = plan.context
    start_tape(context)
    context.fill(plan=context.plan + 1, kept_end=-1, one_numbering=begin == 0)  # -1: no plan is kept
    forget_nodes(plan, begin)
    if begin == 0:
        context.flags_used = 0  # the flags of all nodes are set anew
    for position in range(begin, end):
        plan.records[position] = plan.new_records[position]
    earliest = context.node_count
    start_numbering(plan)
    add_nodes(plan, inputs, begin, end)
    values_start = inputs.start + layout.aligned(inputs.count)
    top = values_start + context.needed_floats
    context.needed_floats = top - inputs.start
    if top > context.arena_end or lists_are_too_long(context):
        context.status = layout.TOO_SMALL
        return
    context.arena_top = top
    inputs.copy()
    find_depths(plan, earliest, context.node_count, is_computed)
    sort_planned(plan)
    context.fill(ordered=context.plan if begin == 0 else -1, ordered_count=context.planned_count)
    place_values(plan, values_start)
    place_aliases(plan)
    add_all_steps(plan)
    if begin == 0 and context.status == layout.READY:
        keep_plan(plan, inputs, end)


@plain
def forget_nodes(plan: Plan, begin) -> None:
    """Remove nodes whose records are at offset `begin` or later: `cg_revert` removed these, or they are replanned."""
    count = 0 if begin == 0 else plan.context.node_count
    while count > 0 and plan.node(count - 1).operands > begin:
        count -= 1
    plan.context.node_count = count


@plain
def add_nodes(plan: Plan, inputs: Inputs, begin, end) -> None:
    """Append a row to the buffer `nodes` for each node of the new records. List the aliases among them in `aliases`.

    In the planner's copy `records`, replace offsets in the input buffer by the addresses to which the values will be
    copied. Also compute the room that the nodes need: `needed_floats` for values, `needed_index` and `needed_tape`.
    """
    context = plan.context
    earliest = context.node_count
    node_index, position, floats, index, tape, aliases = earliest, begin, 0, 0, 0, 0
    rebase = inputs.start - inputs.begin  # turns an offset in the input buffer into an address
    while position < end:
        record = plan.record(position)
        record_signature, attributes = record.signature, record.attributes_start
        for k in range(record_signature.constants):
            plan.records[attributes + k] += rebase
        first = node_index
        for part in range(record.part_count):
            node = plan.node(node_index)
            node.fill(signature=record_signature.part(part).start, operands=record.start, first_part=first)
            note_operands(plan, node, earliest)
            signature = node.signature
            kind = signature.kind
            if kind == layout.COMPUTED:
                floats += node.room
                index += 2 * signature.view_count * node.columns  # each view has a list of values and one of gradients
                tape += signature.forward.count
                if signature.determined_by != layout.NO_VIEW:
                    # Room in case equal columns are computed once (see `repeats.py`): address lists of the columns that
                    # are computed, and two lists, target and source, for an instruction that copies their values.
                    index += 2 * (signature.view_count + 1) * node.columns
                    tape += 1
            elif kind == layout.INPUT:
                node.value = plan.records[attributes]  # the address of the value
            else:
                plan.aliases[aliases] = node_index
                aliases += 1
                if kind == layout.APART:
                    context.one_numbering = 0
            node_index += 1
        position = attributes + record_signature.attributes
    context.fill(node_count=node_index, needed_floats=floats, needed_index=index, needed_tape=tape, alias_count=aliases)


@plain
def note_operands(plan: Plan, node: Node, earliest) -> None:
    """Note the dependencies of a node's signature in `predecessors`. Set or clear the node's flag NEEDS_GRADIENT.

    A node needs a gradient if its signature passes gradients on, and an operand or the previous part needs one. Ignore
    dependencies on nodes before `earliest`, which are already computed.
    """
    needs_gradient = node.part_before.needs_gradient if node.is_later_part else 0

    def note_gradient_need(operand):
        nonlocal needs_gradient
        needs_gradient |= plan.needs_gradient(operand)

    add_dependencies(plan, node, earliest, note_gradient_need)
    node.flags = needs_gradient * node.signature.passes * layout.NEEDS_GRADIENT


@plain
def is_computed(node: Node):
    return node.signature.kind == layout.COMPUTED


@plain
def lists_are_too_long(context: Context):
    return context.needed_index > context.index_end or context.needed_tape > context.tape_end


@plain
def place_values(plan: Plan, start) -> None:
    """Assign memory to the values of nodes, starting at address `start`, in the order in which they are computed."""
    top = start
    for group in each_group(plan, plan.by_depth, plan.context.planned_count, Node.runs_with):
        signature = group.signature
        if signature.is_cell:
            hidden = layout.aligned(signature.hidden)
            room = layout.aligned(signature.size) - hidden
            begin = top + group.count * room
            for k, node in group.each_node():
                node.value = top + k * room
                node.hidden_place.fill(begin=begin, count=group.count, number=k)
            top = begin + group.count * hidden
        else:
            for _, node in group.each_node():
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
        equal, lists = skip_equal_columns(group, write_lists(group, steps))
        add_steps(group, steps, lists)
        copy_values(equal)


@plain
def keep_plan(plan: Plan, inputs: Inputs, end) -> None:
    """Keep this plan of a whole graph, whose records have `end` integers, for graphs with equal records."""
    context = plan.context
    for position in range(end):
        plan.kept_records[position] = plan.new_records[position]
    context.fill(kept_end=end, kept_inputs=inputs.count, kept_start=inputs.start)
    context.take(context, KEPT_FIELDS, to="kept_{}")
