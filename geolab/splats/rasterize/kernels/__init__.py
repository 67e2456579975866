"""Compiled kernels of the CPU rasterizer: projection, tiles, blending; NumPy arrays in, NumPy arrays out."""
