"""What the planner needs to know of nodes that run together, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace

from dynet_kernels import layout as at
from dynet_kernels.layout import COMPUTED

from .dim import Dim


@dataclass(frozen=True)
class View:
    """Where one named value of each column stands.

    The address for column c is that of `source` (an operand's number, SELF, EACH in turn of the operands that a
    variadic record has beyond its first `operands`, or NOWHERE) + offset + (c % period) * stride
    + (c // period) * outer; period 0 means stride alone. With `index`, the attribute of that number
    (+ c * index_step) times `scale` is added. In a record of parts, BEFORE is the part before this one, and FIRST
    the record's first, to whose address `scale` is added for each part between.
    """

    source: int
    offset: int = 0
    stride: int = 0
    period: int = 0
    outer: int = 0
    index: int = at.NO_INDEX
    index_step: int = 0
    scale: int = 0

    def follows(self, other: View) -> bool:
        """Whether a view differs from another by the offset alone."""
        return replace(self, offset=other.offset) == other


@dataclass(frozen=True)
class Step:
    """One instruction that a signature wants: a kernel, its parameters, and whose gradient it makes."""

    kernel: str
    parameters: tuple[int, ...]
    gradient_of: int = at.NO_OPERAND


@dataclass(eq=False, slots=True)
class Description:
    """Nodes that run together: their `dim`, which `views` of memory they have, and the steps that compute them.

    A node holds `size` floats (those of `dim`, if not given). A variadic one holds `size_each` more, and has
    `columns` columns, for each operand beyond the first `operands`. `name` is that of the op, for people.

    With `parts`, which stand in the table already, a record is several nodes, which run by these; the last of them
    `repeats` until there is one for each operand beyond the first `operands`, the first part not counted. A part is
    `variadic` as its record is, but has columns for each operand that shares EACH only if it says `each`. It waits for
    the part before it, for the operands of the record from waits[0] up to waits[1] and, if it `waits_each`, for those
    that share EACH. With `sets_first` its steps set what they make of the gradient of the first part, of which each
    part has a share.
    """

    dim: Dim
    _: KW_ONLY
    name: str = ""
    operands: int = 0
    variadic: bool = False
    attributes: int = 0
    constants: int = 0
    kind: int = COMPUTED
    size: int | None = None
    size_each: int = 0
    columns: int = 1
    each: bool | None = None
    waits: tuple[int, int] | None = None
    waits_each: bool = False
    sets_first: bool = False
    parts: Sequence[Description] = ()
    repeats: bool = False
    alias_scale: int = 0
    alias_offset: int = 0
    passes: bool = True
    views: Sequence[View] = ()
    forward: Sequence[Step] = ()
    backward: Sequence[Step] = ()
    deferred: Sequence[Step] = ()
    at: int = -1

    @property
    def has_each(self) -> bool:
        """Whether there are columns for each operand that shares EACH."""
        return self.variadic if self.each is None else self.each
