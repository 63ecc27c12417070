"""What scikit-learn's meta-estimators do to an MLP, and what helps: docs/meta_estimators.md, by its sections."""
