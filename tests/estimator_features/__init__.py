"""What the estimators do beyond scikit-learn's: each parameter against the same thing done by hand."""
