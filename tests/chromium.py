"""Debian's Chromium, headless, driven by Playwright; nothing of its own leaves the machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

_CHROMIUM = shutil.which("chromium")
_QUIET = (
    "--no-sandbox",  # root, in CI
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
)


@contextmanager
def launched(*more: str) -> Iterator[Browser]:
    """A running Chromium with these arguments as well, or a skip with its reason."""
    if _CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed (packaging/check installs it)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=[*_QUIET, *more])
        yield browser
        browser.close()
