"""From the officer's browser to the house and back: a command, its answer, a wish, and the household's word.

`ANNINH_SHOTS=FOLDER` keeps a picture of each page that is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import launched
from tests.e2e.street import PREPARED_MODELS, SITE, Street
from tests.e2e.test_first_light import key_of, officer
from tests.e2e.test_orders import camera_at_the_station

pytestmark = [pytest.mark.timeout(300)]
_PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory, street_clip: Path) -> Iterator[Street]:
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    street = Street(tmp_path_factory.mktemp("street"), street_clip, quiet=True)
    with street.children:
        street.build()
        yield street


@pytest.fixture(scope="module")
def page(street: Street) -> Iterator[Page]:
    street.wait_until(lambda: bool(camera_at_the_station(street)), "the box has told of its camera")
    with launched(f"--ignore-certificate-errors-spki-list={key_of(street)}") as browser:
        page = officer(browser, street)
        page.goto(f"{street.console_url}agents/{SITE}")
        yield page


def kept(page: Page, name: str) -> None:
    if folder := os.environ.get("ANNINH_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def give(page: Page, verb: str, **fields: str) -> None:
    """Open a command's form and send it, by keyboard alone."""
    words = page.locator(f"details.verb:has(input[name=verb][value={verb}])")
    words.locator("summary").focus()
    page.keyboard.press("Enter")
    for name, value in fields.items():
        field = words.locator(f"[name={name}]")
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    words.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/agents/{SITE}?given={verb}*")
    expect(page.get_by_role("status")).to_be_visible()


def answer(page: Page, *words: str) -> None:
    """Look again, as a person does, until the newest command has this answer."""
    newest = page.locator("#commands .asked li .answer").first
    for _ in range(_PATIENCE_MS // 500):
        if all(word in newest.inner_text() for word in words):
            return
        page.wait_for_timeout(500)
        page.reload()
    kept(page, "unanswered")
    raise AssertionError(newest.inner_text())


def test_an_officer_gives_commands_and_sees_the_houses_answers(street: Street, page: Page) -> None:
    camera = camera_at_the_station(street)["camera"]
    give(page, "test-frame", camera=camera)
    answer(page, "đã làm xong", "Xem ảnh thử")
    page.get_by_role("link", name="Xem ảnh thử").click()
    assert page.locator("img").evaluate("image => image.naturalWidth") > 300
    page.go_back()
    give(page, "hold-footage", camera=camera, case="12/2026")
    answer(page, "đã làm xong")
    expect(page.get_by_text("Đang được giữ theo đề nghị của trạm")).to_be_visible()
    kept(page, "commands")
    page.get_by_role("button", name="Không cần giữ nữa").click()
    page.wait_for_url("**given=release-footage*")
    answer(page, "đã làm xong")
    expect(page.get_by_text("Đang được giữ theo đề nghị của trạm")).to_have_count(0)


def test_the_households_pause_is_shown_and_no_command_of_the_page_lifts_it(
    street: Street, page: Page
) -> None:
    camera = camera_at_the_station(street)["camera"]
    street.call("agent", "pause", camera)
    street.wait_until(lambda: camera_at_the_station(street)["cause"] == "paused-household", "it is paused")
    page.goto(f"{street.console_url}agents/{SITE}")
    expect(page.get_by_text("Đó là quyền của gia đình")).to_be_visible()
    give(page, "test-frame", camera=camera)
    answer(page, "cơ sở từ chối", "hộ gia đình đang tạm dừng")
    give(page, "resume", camera=camera)
    answer(page, "hộ gia đình đang tạm dừng")
    assert camera_at_the_station(street)["cause"] == "paused-household"
    kept(page, "household")
    page.set_viewport_size({"width": 360, "height": 740})
    kept(page, "household-telephone")
    page.set_viewport_size({"width": 1366, "height": 768})
    street.call("agent", "resume", camera)


def test_a_wish_is_made_by_a_form_and_the_box_says_what_became_of_it(street: Street, page: Page) -> None:
    page.goto(f"{street.console_url}agents/{SITE}")
    page.get_by_text("Đổi cấu hình").click()
    page.get_by_label("Tốc độ gửi tối đa").fill("4000")
    page.get_by_label("Số lần nhìn mỗi giây").fill("3,5")
    page.get_by_role("button", name="Lưu cấu hình").click()
    expect(page.get_by_role("status")).to_contain_text("Đã lưu bản mới")
    state = page.locator("#configuration .state")
    for _ in range(_PATIENCE_MS // 500):
        if "đã áp dụng" in state.inner_text():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(state).to_contain_text("đã áp dụng")
    kept(page, "configuration")
    street.call("collector", "config", SITE, "--zones", str(zones_of_no_camera(street)))
    for _ in range(_PATIENCE_MS // 500):
        page.reload()
        if "có lỗi" in state.inner_text():
            break
        page.wait_for_timeout(500)
    expect(page.locator(".faults")).to_contain_text("không có camera tên “bep” ở đây")
    kept(page, "faulty")


def zones_of_no_camera(street: Street) -> Path:
    path = street.folder / "zones.toml"
    path.write_text("[bep]\nmin_height = 0.05\n")
    return path
