"""One story: a clip walks past the camera; an officer finds it in the browser, the very bytes.

The demo's way, then headless Chromium, with TLS checked against the station's own CA by the key it
serves (Chromium has no other way to be told of a private CA for one run).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import Browser, Page

from tests.chromium import launched
from tests.e2e.street import PREPARED_MODELS, SITE, TITLE, Street

pytestmark = [pytest.mark.timeout(300)]
NEW_PASSWORD = "một câu đủ dài để nhớ"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory, street_clip: Path) -> Iterator[Street]:
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    street = Street(tmp_path_factory.mktemp("street"), street_clip, quiet=True)
    with street.children:
        street.build()
        street.find_person()
        yield street


@pytest.fixture(scope="module")
def page(street: Street) -> Iterator[Page]:
    with launched(f"--ignore-certificate-errors-spki-list={key_of(street)}") as browser:
        yield officer(browser, street)


def key_of(street: Street) -> str:
    """SHA-256 of the public key in the station's own server certificate, as Chromium wants it."""
    certificate = x509.load_pem_x509_certificate((street.station / "tls" / "server.crt").read_bytes())
    key = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def officer(browser: Browser, street: Street) -> Page:
    """Sign in with the one-time password of `collector init`, and replace it as told."""
    page = browser.new_page(locale="en-US", viewport={"width": 1366, "height": 768})
    page.asked = []  # type: ignore[attr-defined]
    page.on("request", lambda request: page.asked.append(request.url))  # type: ignore[attr-defined]
    page.goto(street.console_url)
    page.fill("input[name=account]", street.login["account"])
    page.fill("input[name=password]", street.login["password"])
    page.click("main button")
    page.fill("input[name=old]", street.login["password"])
    page.fill("input[name=new]", NEW_PASSWORD)
    page.fill("input[name=again]", NEW_PASSWORD)
    page.click("main button")
    page.wait_for_url(street.console_url)
    return page


def test_the_officer_sees_the_event_opens_it_and_the_picture_is_the_one_the_agent_announced(
    street: Street, page: Page
) -> None:
    page.goto(f"{street.console_url}?kind=person")
    card = page.locator("a[href*='/events/']").first
    card.click()
    page.wait_for_url(re.compile(r"/events/"))
    assert TITLE in page.content()
    shown = page.locator("figure img").first.get_attribute("src")
    answer = page.request.get(street.console_url.rstrip("/") + str(shown), ignore_https_errors=True)
    assert answer.headers["content-type"] == "image/jpeg"
    event_id = urlsplit(page.url).path.rsplit("/", 1)[-1]
    announced = {revision["sha256"] for revision in pictures_the_agent_announced(street, event_id)}
    assert hashlib.sha256(answer.body()).hexdigest() in announced
    drawn = page.locator("figure img").first.evaluate("image => [image.naturalWidth, image.complete]")
    assert drawn[1]
    assert drawn[0] > 100
    frame, image = (page.locator(what).first.bounding_box() for what in (".marks .over", "figure img"))
    assert frame is not None
    assert image is not None
    assert image["x"] <= frame["x"] <= frame["x"] + frame["width"] <= image["x"] + image["width"] + 1
    assert image["y"] <= frame["y"] <= frame["y"] + frame["height"] <= image["y"] + image["height"] + 1


def pictures_the_agent_announced(street: Street, event_id: str) -> list[dict[str, Any]]:
    """Read from the agent's own words, kept byte for byte in the archive."""
    with sqlite3.connect(f"file:{street.station}/archive.db?mode=ro", uri=True) as db:
        rows = db.execute(
            "SELECT body FROM messages WHERE channel = 'ev' AND event_id = ?",
            (bytes.fromhex(event_id.replace("-", "")),),
        ).fetchall()
    db.close()
    return [json.loads(body)["thumbnail"] for (body,) in rows if "thumbnail" in json.loads(body)]


def test_the_agents_page_says_the_site_is_alive(street: Street, page: Page) -> None:
    """The first heartbeat leaves before the camera is connected; the one that says so follows by itself."""
    deadline_s = time.monotonic() + 60  # a camera connects in two seconds, news travel every five
    page.goto(street.console_url + "agents")
    while "1/1" not in page.inner_text("main") and time.monotonic() < deadline_s:
        time.sleep(1)
        page.reload()
    assert SITE in page.content()
    assert "1/1" in page.inner_text("main")


def test_the_console_speaks_vietnamese_first_and_english_by_a_switch(street: Street, page: Page) -> None:
    page.goto(street.console_url)
    assert page.locator("html").get_attribute("lang") == "vi"
    page.click("form[action='/language'] button:not([aria-pressed=true])")
    assert page.locator("html").get_attribute("lang") == "en"


def test_nothing_was_asked_of_anybody_but_the_station(street: Street, page: Page) -> None:
    page.goto(street.console_url)
    hosts = {urlsplit(url).netloc for url in page.asked if not url.startswith("data:")}  # type: ignore[attr-defined]
    assert hosts == {urlsplit(street.console_url).netloc}


def test_no_password_or_code_stands_in_any_log(street: Street) -> None:
    secrets = [street.login["password"], street._camera_password, NEW_PASSWORD]
    for log in (street.folder / "logs").iterdir():
        said = log.read_text()
        for secret in secrets:
            assert secret not in said, log.name
        assert not re.search(r"\b(?:[0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}\b", said), log.name


def test_no_camera_password_leaves_the_house(street: Street) -> None:
    """Not in the archive, not in the outbox, and on the box in one file only its user can read."""
    secret = street._camera_password.encode()
    holders = [
        path.relative_to(street.folder)
        for root in (street.station, street.home)
        for path in root.rglob("*")
        if path.is_file() and secret in path.read_bytes()
    ]
    assert holders == [Path("agent/credentials.toml")]
    assert (street.home / "credentials.toml").stat().st_mode & 0o077 == 0
