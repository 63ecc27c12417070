"""scikit-learn estimators for data frames."""

from fastmlp.tables.estimators.classifier import TabularClassifier
from fastmlp.tables.estimators.regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]
