"""Reports: one HTML file about a trained network, which needs neither a network connection nor other files."""
