"""The general operations, for any network; `one_sample`, `tiny` and `large` replace some of them in their regimes."""
