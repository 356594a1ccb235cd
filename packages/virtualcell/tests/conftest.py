"""What the tests share: the collected real cells, where an environment variable names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of collected cells and annotations; tests that ask for it skip where it is absent."""
    given = os.environ.get("VIRTUALCELL_DATA")
    if not given or not (Path(given) / "kang_ifnb.h5ad").exists():
        pytest.skip("the collected cells are not here: set VIRTUALCELL_DATA")
    return Path(given)
