"""Numbers and codes to the inputs of a network: bins, indicators, means of the target."""
