"""Networks in scikit-learn's meta-estimators: the statements of docs/meta_estimators.md, by section."""
