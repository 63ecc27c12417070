"""Samples larger than memory: read block by block, shuffled in two stages, ahead of the training that uses them.

| file | does |
|---|---|
| `opening.py` | `fastmlp.open_samples`: which source reads what |
| `source.py` | what a source is |
| `tables.py`, `arrays.py`, `array_files.py` | sources: Parquet and Arrow; arrays that can be sliced; files of arrays |
| `samples.py` | what a user holds, and how much of it is in memory |
| `shuffling.py` | which samples a window has, and in which order |
| `reader.py` | the thread that reads the next window |
| `feed.py` | what a training run sees of it |
"""
