"""Streamlit under strict warnings, and this folder's helpers where tests find them."""

import sys
from pathlib import Path


sys.path.append(str(Path(__file__).parent))
