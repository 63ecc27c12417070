"""From encoded columns to network inputs: quantile bins, indicators, target means."""
