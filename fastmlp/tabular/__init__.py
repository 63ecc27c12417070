"""Tables for networks: what becomes of their columns, and scikit-learn estimators that take data frames."""
