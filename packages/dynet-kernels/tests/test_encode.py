"""How views are encoded for the planner: the starts of their columns, against a list of all columns."""

from hypothesis import given
from hypothesis import strategies as st

from dynet_kernels import encode
from dynet_kernels import layout as at
from dynet_kernels.description import Description, View, copy_step

SIZES = st.integers(1, 4)
GAPS = st.integers(0, 12)
OWN = View(at.SELF)


@st.composite
def views(draw, source=None) -> View:
    source = draw(st.sampled_from([0, at.EACH])) if source is None else source
    period = draw(st.integers(1 if source == at.EACH else 0, 6))
    return View(source, stride=draw(GAPS), period=period, outer=draw(st.one_of(GAPS, st.just(period))))


def step_of(view: View, size: int, columns: int, own: View = OWN) -> dict[str, int]:
    """The encoding of a step that adds columns of the node's gradient to an operand's gradient."""
    each = view.source == at.EACH
    step = copy_step("accumulate", 3, 1, size, gradient_of=at.EACH_OPERAND if each else 0)
    described = Description(total=1, columns=columns, each=each, views=[own, view], backward=[step])
    start = encode.append_to_table(described)
    step_at = start + encode.TABLE.integers[start + at.SIGNATURE.backward_begin]
    return dict(zip(at.STEP, encode.TABLE.integers[step_at:]))


def covered(view: View, size: int, columns: int) -> int:
    return step_of(view, size, columns)["covers"]


def starts(view: View, count: int) -> list[int]:
    if view.source == at.EACH:
        return [column % view.period * view.stride for column in range(count)]
    period = view.period or count
    return [column % period * view.stride + column // period * view.outer for column in range(count)]


def is_disjoint(view: View, size: int, count: int) -> bool:
    places = sorted(starts(view, count))
    return all(other - one >= size for one, other in zip(places, places[1:]))


@given(views(), SIZES, st.integers(1, 12))
def test_a_step_covers_a_gradient_only_if_it_writes_each_number_once(view, size, count):
    each = view.source == at.EACH
    count = view.period if each else count
    found = covered(view, size, count)
    exact = sorted(starts(view, count)) == [*range(0, size * count, size)]
    if exact and not (view.period and count % view.period):
        assert found == size * count
    else:
        assert found == 0 or exact


@given(views(), SIZES, st.integers(1, 12))
def test_columns_that_are_called_disjoint_do_not_overlap(view, size, count):
    each = view.source == at.EACH
    count = view.period if each else count
    found = view.span(size, count) is not None
    if found or not view.period or view.period >= count or view.outer == view.stride * view.period:
        assert found == is_disjoint(view, size, count)


@given(st.integers(1, 4), st.integers(1, 4), SIZES, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_runs_in_each_other_are_disjoint(length, runs, size, more, still_more, interleaved):
    near = size + more
    far = near * (runs if interleaved else length) + still_more
    stride, outer = (far, near) if interleaved else (near, far)
    view = View(0, stride=stride, period=length, outer=outer)
    assert view.span(size, length * runs)
    assert is_disjoint(view, size, length * runs)


@given(views(at.SELF), views(), st.integers(1, 12))
def test_views_have_the_same_description_if_their_columns_start_at_the_same_places(own, operand, count):
    if operand.source == at.EACH:
        count = 2 * operand.period
    same = starts(own, count) == starts(operand, count)
    assert (own.runs(count) == operand.runs(count)) == same


@given(views(at.SELF), views(), st.integers(1, 12))
def test_gradients_share_memory_only_if_their_columns_start_at_the_same_places(own, operand, count):
    step = step_of(operand, 1, count, own)
    if operand.source == at.EACH:
        count = 2 * operand.period
    assert step["copies"] == (step["covers"] != 0 and starts(own, count) == starts(operand, count))


def test_a_long_view_costs_no_more_than_a_short_one():
    view = View(0, stride=3, period=1 << 40, outer=3 << 40)
    assert covered(view, 3, 1 << 60) == 3 << 60
    assert view.span(3, 1 << 60) == 3 << 60
    assert view.span(4, 1 << 60) is None


def test_a_view_is_written_in_the_order_of_the_layout():
    assert (*View._fields, "lists") == (*at.VIEW,)
