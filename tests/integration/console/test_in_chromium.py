"""The console as an officer's browser shows it: both languages, both schemes, both widths."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.chromium import launched
from tests.conftest import REPOSITORY
from tests.integration.console.conftest import PASSWORD, Served

_AXE_VERSION = "4.14.1"
_AXE = REPOSITORY / ".build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")  # Playwright's loop must not outlive this file: others have one of their own
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility rules, from npm once; a skip with its reason where npm or its registry is not."""
    if not _AXE.is_file():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed: no axe-core")
        folder = _AXE.parents[2]
        folder.mkdir(parents=True, exist_ok=True)
        package = f"axe-core@{_AXE_VERSION}"
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            f"--prefix={folder}",
            package,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        if done.returncode or not _AXE.is_file():
            pytest.skip(f"axe-core cannot be installed: {done.stderr[-200:]}")
    return _AXE.read_text(encoding="utf-8")


class Watched:
    """A page, and everything it asked for or complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def foreign(self, served: Served) -> list[str]:
        return [url for url in self.asked if urlsplit(url).netloc != f"localhost:{served.port}"]


def open_page(
    chromium: Browser, served: Served, *, width: int, scheme: Any = "light", language: str = "vi"
) -> Watched:
    context = chromium.new_context(
        viewport={"width": width, "height": 768}, color_scheme=scheme, ignore_https_errors=True
    )
    watched = Watched(context.new_page())
    watched.page.goto(f"{served.url}/login")
    if language == "en":
        watched.page.click("button[name=language]")
    return watched


def sign_in(page: Page, account: str, password: str) -> None:
    page.fill("[name=account]", account)
    page.fill("[name=password]", password)
    page.click("button.primary")


def everywhere(served: Served) -> list[str]:
    first, last = (f"/events/{served.events[index].event_id}" for index in (0, -1))
    sites = ["/agents", "/agents/nha-ong-ba", "/agents/cho-moi?given=pause&wished=1"]
    return ["/", "/?kind=car&from=hom+qua", "/?kind=bus", first, last, *sites, "/password", "/x"]


def test_an_officer_signs_in_sets_a_password_filters_and_opens_an_event(
    chromium: Browser, served: Served
) -> None:
    one_time = served.new_account("truc-dem")
    watched = open_page(chromium, served, width=1366)
    page = watched.page
    sign_in(page, "truc-dem", one_time)
    page.wait_for_url("**/password")
    page.fill("[name=old]", one_time)
    page.fill("[name=new]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("button.primary")
    page.wait_for_url(f"{served.url}/")
    page.get_by_label("ô tô con").check()
    page.get_by_role("button", name="Tìm").click()
    page.wait_for_url("**kind=car**")
    page.locator("a.event").first.click()
    page.wait_for_url("**/events/**")
    picture = page.locator(".shot.large img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 384
    page.get_by_role("link", name="Kết quả").click()
    page.wait_for_url("**kind=car**")
    page.get_by_role("button", name="Đăng xuất").click()
    page.wait_for_url("**/login")
    assert watched.foreign(served) == []
    assert watched.complaints == []
    assert len(watched.asked) > 20
    page.context.close()


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1366, 360])
def test_every_page_is_accessible_and_fits(
    chromium: Browser, served: Served, axe: str, width: int, scheme: str, language: str
) -> None:
    watched = open_page(chromium, served, width=width, scheme=scheme, language=language)
    page = watched.page
    found = _looked_at(page, axe, "/login")
    sign_in(page, served.account, PASSWORD)
    page.wait_for_url(f"{served.url}/")
    for path in everywhere(served):
        page.goto(f"{served.url}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.locator("html").get_attribute("lang") == language
        found += _looked_at(page, axe, path)
    assert found == []
    assert watched.foreign(served) == []
    assert [text for text in watched.complaints if "Content Security Policy" in text] == []
    page.context.close()


def test_the_accessibility_rules_do_find_faults(chromium: Browser, served: Served, axe: str) -> None:
    watched = open_page(chromium, served, width=360)
    watched.page.evaluate(
        "document.querySelector('main').innerHTML = '<img src=\"/static/icon.svg\"><p id=\"wide\">x</p>';"
        "document.getElementById('wide').style.width = '900px'"
    )
    found = " ".join(_looked_at(watched.page, axe, "/login"))
    assert "image-alt" in found
    assert "wider" in found
    watched.page.context.close()


def _looked_at(page: Page, axe: str, path: str) -> list[str]:
    """Return what is wrong with the page: rules broken, and width that does not fit."""
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    found = [f"{path}: {too_wide} px wider than the window"] if too_wide > 0 else []
    page.evaluate(axe)  # through the debugger: the page's own policy would refuse it, rightly
    options = json.dumps({"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]})
    report = page.evaluate(f"axe.run(document, {options})")
    return found + [
        f"{path}: {violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in report["violations"]
        for node in violation["nodes"]
    ]
