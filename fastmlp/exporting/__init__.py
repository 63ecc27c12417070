"""Trained networks for other programs: as C, as ONNX, and back from ONNX and PyTorch."""
