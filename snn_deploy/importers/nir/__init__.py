"""The reader of NIR files."""
