"""The work of `fastmlp train` on a table with a numeric target, by pandas, a ColumnTransformer and scikit-learn's MLP.

Run: python benchmarks/tables_sklearn.py PATH EPOCHS. The last column is predicted, a fifth of the rows is scored.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def train(path: Path, epochs: int) -> float:
    """R² of the test rows."""
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    x, y = frame.iloc[:, :-1], frame.iloc[:, -1]
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
    encoder = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include=np.number)),
        (OneHotEncoder(sparse_output=False), make_column_selector(dtype_exclude=np.number)),
    )
    network = MLPRegressor(hidden_layer_sizes=(128, 64), batch_size=min(128, len(x)), max_iter=epochs, random_state=0)
    model = make_pipeline(encoder, network).fit(x, y)
    return float(model.score(x_test, y_test))


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"R² {train(Path(sys.argv[1]), int(sys.argv[2])):.4f}")
