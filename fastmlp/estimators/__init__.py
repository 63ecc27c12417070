"""scikit-learn's estimators, trained by `fastmlp.step`: MLPClassifier and MLPRegressor."""

from functools import partial

from joblib import register_parallel_backend
from sklearn import neural_network

from fastmlp.estimators.classifier import MLPClassifier
from fastmlp.estimators.regressor import MLPRegressor
from fastmlp.estimators.search_backend import SearchBackend
from fastmlp.estimators.skl2onnx_converters import register
from fastmlp.when_imported import when_imported

__all__ = ["MLPClassifier", "MLPRegressor"]

# Virtual subclasses of scikit-learn's: other libraries ask `isinstance(model, sklearn.neural_network.MLPClassifier)` or
# dispatch on the type.
neural_network.MLPClassifier.register(MLPClassifier)
neural_network.MLPRegressor.register(MLPRegressor)

when_imported("skl2onnx", partial(register, MLPClassifier, MLPRegressor))

register_parallel_backend("fastmlp", SearchBackend)
