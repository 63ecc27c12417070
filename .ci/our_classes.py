"""A plugin of pytest: the tests of other projects run with our estimators in place of scikit-learn's."""

from sklearn import neural_network
from sklearn.neural_network import _multilayer_perceptron

from fastmlp.estimators import MLPClassifier, MLPRegressor, fitting

for module in (neural_network, _multilayer_perceptron):
    module.MLPClassifier, module.MLPRegressor = MLPClassifier, MLPRegressor

fits = 0


def counted(function):
    def count_and_call(*arguments, **keywords):
        global fits
        fits += 1
        return function(*arguments, **keywords)

    return count_and_call


fitting.fit, fitting.partial_fit = counted(fitting.fit), counted(fitting.partial_fit)


def pytest_sessionfinish(session):
    if not fits:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{fits} fits by fastmlp" if fits else "ERROR: scikit-learn's classes were tested")
