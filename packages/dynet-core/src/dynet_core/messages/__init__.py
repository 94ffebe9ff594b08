"""What messages say: hints for names of other libraries and for wrong keywords and uses, and counts as text."""
