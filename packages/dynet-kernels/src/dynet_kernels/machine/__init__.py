"""The tape machine: emits, compiles and loads the code that plans and runs tapes, and shares tapes between threads."""
