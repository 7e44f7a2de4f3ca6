from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
from datetime import timedelta
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest
from starlette.routing import Route

from collector.console import security
from collector.console.app import routes
from collector.console.auth import OPEN_PATHS
from collector.console.filters import PAGE
from collector.console.view import Console
from shared.clock import SystemClock
from shared.localtime import VIETNAM
from shared.messages import Kind
from tests.integration.console.browser import Browser, hidden_fields
from tests.integration.console.conftest import PASSWORD, Served

_CARD = re.compile(r'<a class="event" href="/events/([0-9a-f-]{36})')
_PICTURE = re.compile(r'<img src="(/events/[^"]+)"')


def cards(html: str) -> list[str]:
    return _CARD.findall(html)


def every_route(served: Served) -> list[Route]:
    return routes(Console.of(served.folder, served.folder.settings(), SystemClock()))


def test_http_2_is_offered_with_a_certificate_of_the_station(served: Served) -> None:
    context = ssl.create_default_context(cafile=str(served.folder.ca_certificate))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("localhost", served.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"
        assert secure.version() == "TLSv1.3"


def test_every_route_but_login_asks_for_a_session_and_every_answer_carries_the_headers(
    served: Served,
) -> None:
    stranger = served.browser()
    walked = 0
    for route in every_route(served):
        path = (
            route.path.replace("{event_id:uuid}", str(served.events[0].event_id))
            .replace("{command:uuid}", str(served.events[0].event_id))
            .replace("{name}", "console.css")
            .replace("{site}", "cho-moi")
        )
        for method in sorted(route.methods or ()):
            answer = stranger.post(path, {}) if method == "POST" else stranger.send(method, path, b"", {})
            for name, value in security.HEADERS.items():
                assert answer.headers[name] == value, (method, path, name)
            assert answer.headers["cache-control"], path
            if path in OPEN_PATHS or path.startswith("/static/"):
                continue
            walked += 1
            if method == "POST":
                assert answer.status == 403, path
            else:
                assert answer.status == 303, path
                assert answer.location.startswith("/login"), path
            assert not answer.body or b"nha-ong-ba" not in answer.body
    assert walked >= 10


def test_answers_that_fail_carry_the_headers_too(served: Served, officer: Browser) -> None:
    for browser, path in (
        (officer, "/nowhere"),
        (officer, "/events/x"),
        (served.browser(), "/static/../auth.py"),
    ):
        answer = browser.get(path)
        assert answer.status == 404
        assert answer.headers["content-security-policy"] == security.HEADERS["Content-Security-Policy"]
        assert answer.headers["cache-control"] == "no-store"


def test_a_one_time_password_opens_nothing_but_its_own_replacement(served: Served) -> None:
    one_time = served.new_account("can-bo-moi")
    browser = served.browser()
    answer = browser.sign_in("can-bo-moi", one_time)
    assert answer.status == 303
    picture = f"/events/{served.events[0].event_id}/thumbnail.jpg"
    for path in ("/", "/agents", f"/events/{served.events[0].event_id}", picture):
        assert browser.get(path).location == "/password"
    new = "một câu dễ nhớ"
    unequal = browser.submit("/password", "/password", old=one_time, new=new, again=new + "!")
    assert unequal.status == 400
    short = browser.submit("/password", "/password", old=one_time, new="ngắn", again="ngắn")
    assert (short.status, "quá ngắn" in short.text) == (400, True)
    wrong = browser.submit("/password", "/password", old="sai", new=new, again=new)
    assert wrong.status == 400
    first_session = dict(browser.cookies)
    changed = browser.submit("/password", "/password", old=one_time, new=new, again=new)
    assert (changed.status, changed.location) == (303, "/")
    assert browser.get("/").status == 200
    browser.cookies = first_session
    assert browser.get("/").location == "/login"
    assert served.browser().sign_in("can-bo-moi", one_time).status == 403
    assert served.browser().sign_in("can-bo-moi", new).status == 303


def test_a_wrong_password_an_unknown_account_and_a_lock_read_the_same(served: Served) -> None:
    served.new_account("hay-quen")
    browser = served.browser()
    answers = [browser.sign_in("khong-co", "sai"), *(browser.sign_in("hay-quen", "sai") for _ in range(6))]
    assert {answer.status for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert security.SESSION_COOKIE not in browser.cookies


def test_five_wrong_passwords_lock_the_right_one_out(served: Served) -> None:
    one_time = served.new_account("bi-doan")
    browser = served.browser()
    for _ in range(5):
        browser.sign_in("bi-doan", "đoán mò")
    assert browser.sign_in("bi-doan", one_time).status == 403


def test_the_session_cookie_cannot_be_read_or_sent_from_elsewhere(served: Served) -> None:
    answer = served.browser().sign_in(served.account, PASSWORD)
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("__host-anninh=")
    for attribute in ("secure", "httponly", "samesite=strict", "path=/"):
        assert attribute in cookie
    assert "domain" not in cookie
    assert "max-age" not in cookie


def test_signing_out_ends_the_session_on_the_server(officer: Browser) -> None:
    kept = dict(officer.cookies)
    answer = officer.submit("/", "/logout")
    assert answer.location == "/login"
    assert answer.headers["clear-site-data"] == '"cache"'
    officer.cookies = kept
    assert officer.get("/").location == "/login"


def test_forms_from_elsewhere_or_without_their_token_change_nothing(served: Served) -> None:
    browser = served.browser()
    browser.sign_in(served.account, PASSWORD)
    token = hidden_fields(browser.get("/").text, "/logout")
    for route in every_route(served):
        if "POST" not in (route.methods or ()):
            continue
        path = route.path
        assert browser.post(path, token, Origin="https://evil.example").status == 403, path
        assert browser.post(path, token, **{"Sec-Fetch-Site": "cross-site"}).status == 403, path
        assert browser.send("POST", path, b"", {}).status == 400, path
        assert browser.post(path, {}).status == 403, path
        assert browser.post(path, {"form_token": "0" * 64}).status == 403, path
    assert browser.get("/").status == 200


def test_a_form_too_large_or_of_another_type_is_refused(served: Served) -> None:
    browser = served.browser()
    assert browser.post("/login", {"account": "a" * 40_000}).status == 400
    answer = browser.send("POST", "/login", b"{}", {"Content-Type": "application/json"})
    assert answer.status == 400


def test_after_signing_in_one_is_where_one_wanted_to_be(served: Served) -> None:
    browser = served.browser()
    wanted = "/?kind=car&site=cho-moi"
    asked = browser.get(wanted)
    assert unquote(asked.location) == f"/login?next={wanted}"
    answer = browser.submit(asked.location, "/login", account=served.account, password=PASSWORD)
    assert answer.location == wanted
    abroad = served.browser()
    answer = abroad.post(
        "/login", {"account": served.account, "password": PASSWORD, "next": "//evil.example"}
    )
    assert answer.location == "/"


def test_the_first_page_shows_the_newest_events_and_leads_to_the_older(
    served: Served, officer: Browser
) -> None:
    first = officer.get("/").text
    assert cards(first) == [str(event.event_id) for event in served.events[:PAGE]]
    assert "60 sự kiện khớp" in first
    assert first.count("AI gợi ý – chưa xác minh") == PAGE
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = officer.get(following[1].replace("&amp;", "&")).text
    assert cards(second) == [str(event.event_id) for event in served.events[PAGE:]]
    assert 'rel="next"' not in second
    assert "chưa có ảnh" in second


@pytest.mark.parametrize(
    ("query", "kinds", "site", "camera"),
    [
        ("kind=car", {Kind.CAR}, None, None),
        ("kind=car&kind=person", {Kind.CAR, Kind.PERSON}, None, None),
        ("site=cho-moi", set(Kind), "cho-moi", None),
        ("camera=nha-ong-ba/cong", set(Kind), "nha-ong-ba", "cong"),
        ("kind=person&site=cho-moi&camera=cho-moi/ngo", {Kind.PERSON}, "cho-moi", "ngo"),
        ("kind=bus", {Kind.BUS}, None, None),
    ],
)
def test_filters_live_in_the_address(
    served: Served, officer: Browser, query: str, kinds: set[Kind], site: str | None, camera: str | None
) -> None:
    expected = [
        str(event.event_id)
        for event in served.events
        if event.kind in kinds and site in {None, event.site} and camera in {None, event.camera}
    ]
    page = officer.get(f"/?{query}").text
    assert cards(page) == expected[:PAGE]
    if not expected:
        assert "Kiểm tra lại camera có mất kết nối không" in page


def test_a_time_range_is_typed_as_people_write_it(served: Served, officer: Browser) -> None:
    since, until = served.events[9].started_at, served.events[3].started_at
    written = [moment.astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M:%S") for moment in (since, until)]
    page = officer.get(f"/?from={quote(written[0])}&to={quote(written[1])}").text
    # what is typed has whole seconds: the event at `until` lies a fraction of a second behind
    assert cards(page) == [str(event.event_id) for event in served.events[4:10]]
    assert f'value="{written[0]}"' in page
    wrong = officer.get("/?from=hom+qua%22%3E")
    assert wrong.status == 400
    assert "Không hiểu thời gian" in wrong.text
    assert 'value="hom qua&#34;&gt;"' in wrong.text


def test_names_from_outside_are_text_and_never_markup(officer: Browser) -> None:
    for path in ("/", "/agents"):
        page = officer.get(path).text
        assert "Nhà ông Ba <b>" not in page
        assert "Nhà ông Ba &lt;b&gt;" in page
        assert "<script" not in page


def test_a_picture_is_sent_with_exactly_the_bytes_its_event_announced(
    served: Served, officer: Browser
) -> None:
    shown = _PICTURE.findall(officer.get("/").text)
    assert len(shown) == PAGE
    for event, picture, address in zip(served.events[:5], served.pictures, shown, strict=False):
        assert event.thumbnail is not None
        answer = officer.get(address.replace("&amp;", "&"))
        assert answer.status == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"].startswith("private")
        assert answer.body == picture
        digest = hashlib.sha256(answer.body)
        assert digest.hexdigest() == event.thumbnail.sha256
        assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"


def test_a_picture_that_has_not_come_is_not_found_and_not_made_up(served: Served, officer: Browser) -> None:
    last = served.events[-1]
    assert officer.get(f"/events/{last.event_id}/thumbnail.jpg").status == 404
    page = officer.get(f"/events/{last.event_id}").text
    assert "chưa có ảnh" in page
    assert last.thumbnail is not None
    assert last.thumbnail.sha256 in page
    assert officer.get(f"/events/{uuid4()}").status == 404


def test_an_event_shows_its_picture_its_hash_its_place_and_three_clocks(
    served: Served, officer: Browser
) -> None:
    event = served.events[0]
    page = officer.get(f"/events/{event.event_id}?kind=person").text
    assert event.thumbnail is not None
    assert event.thumbnail.sha256 in page
    assert "Nhà ông Ba &lt;b&gt;" in page
    assert "Thôn Đông" in page
    by_agent = event.started_at.astimezone(VIETNAM)
    assert by_agent.strftime("%H:%M:%S") in page
    assert (by_agent + timedelta(seconds=1.4)).strftime("%H:%M:%S") in page
    assert "lệch +1,4 s" in page
    assert "Máy chủ" in page
    assert "<polyline" in page
    assert 'href="/?kind=person"' in page
    assert "style=" not in page
    suspect = officer.get(f"/events/{served.events[1].event_id}").text
    assert "lệch quá xa" in suspect


def test_boxes_are_listed_with_heartbeat_causes_queue_and_refusals(officer: Browser) -> None:
    page = officer.get("/agents").text
    assert "1.204" in page
    assert "ngo: sai mật khẩu camera" in page
    assert "không phải ảnh JPEG" in page
    assert "begins with &lt;script&gt;" in page
    assert "không có trong sổ của trạm" in page
    assert "chưa có tín hiệu" in page


def test_the_language_is_switched_and_stays_switched(served: Served, officer: Browser) -> None:
    assert '<html lang="vi">' in officer.get("/agents").text
    answer = officer.submit("/agents", "/language", language="en")
    assert answer.location == "/agents"
    page = officer.get("/agents")
    assert '<html lang="en">' in page.text
    assert page.headers["content-language"] == "en"
    assert "wrong camera password" in page.text
    stranger = served.browser()
    stranger.submit("/login", "/language", language="en")
    assert "Sign in" in stranger.get("/login").text


def test_the_stylesheet_is_kept_by_browsers_until_it_changes(served: Served) -> None:
    browser = served.browser()
    address = re.search(r'rel="stylesheet" href="([^"]+)"', browser.get("/login").text)
    assert address is not None
    answer = browser.get(address[1])
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "max-age" in answer.headers["cache-control"]
    assert b"url(" not in answer.body
    assert b"@import" not in answer.body
