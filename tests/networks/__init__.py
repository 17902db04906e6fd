"""Networks of the field, as their authors write them, and what becomes of each."""
