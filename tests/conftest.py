"""What every layer of the tests shares. A missing driver fails the tests that need it; nothing is skipped."""

import os

import pytest


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours and no terminal's width from whoever runs the tests."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    os.environ.setdefault("LC_ALL", "C.UTF-8")
