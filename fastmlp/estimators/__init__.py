"""scikit-learn's estimators, trained by `fastmlp.step`: MLPClassifier and MLPRegressor."""

from fastmlp.estimators.classifier import MLPClassifier
from fastmlp.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
