"""All C functions of the recorder. Each module here declares its own when it is imported."""

from . import arrays, memory, operations, passes, records, tables, templates, types  # noqa: F401
from .extension import FUNCTIONS as FUNCTIONS
