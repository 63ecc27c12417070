"""The team: threads that run one step together, what they pass to operations, and how."""
