"""All C functions of the recorder. A module registers its functions when it is imported."""

from . import arrays, buffers, operations, passes, record_calls, tables, template_calls, type_slots  # noqa: F401
from .extension import FUNCTIONS as FUNCTIONS
