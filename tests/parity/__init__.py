"""MLPClassifier and MLPRegressor compared with scikit-learn's classes: the same numbers, messages and random draws."""
