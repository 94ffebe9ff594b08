"""All C functions of the recorder. Each module here declares its own when it is imported."""

from . import arrays, buffers, operations, passes, record_calls, tables, template_calls, type_slots  # noqa: F401
from .extension import FUNCTIONS as FUNCTIONS
