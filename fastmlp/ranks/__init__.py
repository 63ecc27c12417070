"""Several processes that train one network together: MPI ranks, each with its shards of every batch.

All ranks hold the same samples, the same parameters and the same order of the samples. Each forms the gradient of its
own rows of a batch; `all_reduce`, an operation of the step, sums them; then each makes the same update. So all ranks
have equal parameters after every step, bit for bit, and decide alike whatever follows from parameters and losses. What
does not follow from these, such as a signal or the answer of a callback, they settle when they meet between steps.

`entry.py` makes a group of a communicator, `group.py` has the ranks and what they do together, `all_reduce.py` the sum,
`launch.py` what is to be known of the program that started them, `watchdog.py` ends a job whose ranks wait for one that
is gone.
"""
