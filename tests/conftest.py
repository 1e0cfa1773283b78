"""Lets tests import the helper modules of this folder as `tests.NAME`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
