"""Compiled functions that have to do with templates: copies of what has been recorded, to record it again.

`functions.with_templates` explains templates of ops.
"""

from __future__ import annotations

from .functions import function


def _no_key(*arguments) -> None:
    """Return None, as the result of `key`.

    `key` returns the key by which compiled code finds the template for a call with these arguments. It calls this
    function for arguments with which calls never use a template.
    """
    return None


def _refuse_replay(dim, template, operands, version) -> None:
    """Return None, as the result of `replay`. The module `plain` says what `replay` does.

    `replay` calls this function if the graph has another version than `version`, if Python has to see each new node, or
    if an operand is neither a node of the graph nor a parameter.
    """
    return None


key = function("key", _no_key)
replay = function("replay", _refuse_replay)
