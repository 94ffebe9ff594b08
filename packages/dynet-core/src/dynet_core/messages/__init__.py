"""Parts of error messages: hints for names from other libraries and for wrong keywords or uses, and wording helpers."""
