"""The parameters that only our estimators have, each compared with an independent computation."""
