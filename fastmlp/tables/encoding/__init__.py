"""The encoding of columns as arrays of numbers and category codes, fitted to training rows."""
