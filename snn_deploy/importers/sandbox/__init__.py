"""Native parsers of strangers' files, in processes of their own."""
