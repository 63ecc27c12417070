"""The systems of the source documents, numbered as there, on the numbers given there."""
