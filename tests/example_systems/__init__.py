"""The systems of the source documents, with their numbering and their numbers."""
