"""Where things are: the checkout, and the certificates that tests use."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PEM: Final = Path(__file__).with_name("localhost.pem")
"""A key and a certificate for localhost that signs itself."""
EXPIRED_PEM: Final = Path(__file__).with_name("expired.pem")
"""The same, but expired."""
