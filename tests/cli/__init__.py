"""The command ``fastmlp``: its results, output and exit codes, and the files it leaves after a failure."""
