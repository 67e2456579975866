"""Between our axes (z up) and those of SPZ and glTF (y up): a quarter turn about x.

SPZ's default is right, up, back and glTF's x right, y up, z towards the viewer; with x to the east both
say y = up, z = south.
"""

from __future__ import annotations

import numpy as np

Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
Y_UP_TO_Z_UP = Z_UP_TO_Y_UP.T
