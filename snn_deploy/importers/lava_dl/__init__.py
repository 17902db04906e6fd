"""The reader of lava-dl's ``.net`` files."""
