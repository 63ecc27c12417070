"""MLPClassifier and MLPRegressor against scikit-learn's of the same name: the same numbers, messages and draws."""
