"""The team of threads that run one step together, and the types of what they pass to operations."""
