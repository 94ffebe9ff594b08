"""What to use instead of arguments that networks of other libraries have, and that builders lack."""

from __future__ import annotations

KEYWORDS = {
    **dict.fromkeys(("dropout", "dropout_rate", "recurrent_dropout"), "set_dropout(rate) of the builder"),
    "bidirectional": "dy.BiRNNBuilder",
}
"""Arguments elsewhere that builders do not have under any name, and what to use instead."""
