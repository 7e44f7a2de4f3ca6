from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.discover import device_urls, parse_answer

ENDPOINT = UUID("27246187-1789-53cf-a457-1e130a0e7a66")

ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><SOAP-ENV:Header>
 <wsa:MessageID>uuid:1</wsa:MessageID><wsa:ReplyTo><wsa:Address>urn:anonymous</wsa:Address></wsa:ReplyTo>
</SOAP-ENV:Header><SOAP-ENV:Body>{open}<d:ProbeMatch>
<wsa:EndpointReference><wsa:Address> urn:uuid:27246187-1789-53cf-a457-1e130a0e7a66 </wsa:Address>
</wsa:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types>
<d:Scopes>onvif://www.onvif.org/hardware/DS-2CD onvif://www.onvif.org/name/C%E1%BB%95ng%20ch%C3%ADnh</d:Scopes>
<d:XAddrs>{xaddrs}</d:XAddrs></d:ProbeMatch>{close}</SOAP-ENV:Body></SOAP-ENV:Envelope>"""


def answer(xaddrs: str = "http://192.168.1.20/onvif/device_service", *, wrapped: bool = True) -> bytes:
    tags = ("<d:ProbeMatches>", "</d:ProbeMatches>") if wrapped else ("", "")
    return ANSWER.format(open=tags[0], close=tags[1], xaddrs=xaddrs).encode()


@pytest.mark.parametrize("wrapped", [True, False], ids=["conformant", "without ProbeMatches, as ipycam"])
def test_an_answer_names_a_camera(wrapped: bool) -> None:
    (found,) = parse_answer(answer(wrapped=wrapped), "192.168.1.20")
    assert found.sender == "192.168.1.20"
    assert found.endpoint == ENDPOINT
    assert found.urls == ("http://192.168.1.20/onvif/device_service",)
    assert (found.name, found.hardware) == ("Cổng chính", "DS-2CD")


def test_a_name_cannot_steer_a_terminal() -> None:
    (found,) = parse_answer(
        answer().replace(b"C%E1%BB%95ng%20ch%C3%ADnh", b"%1B%5B2J[/bold]%0Ahi"), "10.0.0.7"
    )
    assert found.name == "[2J[/bold]hi"


def test_two_devices_in_one_answer_are_two_cameras() -> None:
    text = answer().decode()
    match = text[text.index("<d:ProbeMatch>") : text.index("</d:ProbeMatch>") + len("</d:ProbeMatch>")]
    second = match.replace("27246187", "99999999")
    assert len(parse_answer(text.replace(match, match + second).encode(), "192.168.1.20")) == 2


@pytest.mark.parametrize(
    ("xaddrs", "urls"),
    [
        ("", ["http://10.0.0.7/onvif/device_service"]),
        ("http://0.0.0.0:8080/x", ["http://10.0.0.7:8080/x", "http://10.0.0.7/onvif/device_service"]),
        (
            "http://10.0.0.12/onvif/device_service",  # its address before it moved
            ["http://10.0.0.12/onvif/device_service", "http://10.0.0.7/onvif/device_service"],
        ),
        (
            "http://10.0.0.7:80/a http://10.0.0.7:80/b",
            ["http://10.0.0.7:80/a", "http://10.0.0.7:80/b", "http://10.0.0.7/onvif/device_service"],
        ),
        # an address out of the house is replaced, not believed
        ("http://8.8.8.8/onvif", ["http://10.0.0.7/onvif", "http://10.0.0.7/onvif/device_service"]),
        ("http://evil.example/onvif", ["http://10.0.0.7/onvif", "http://10.0.0.7/onvif/device_service"]),
        ("http://u:p@10.0.0.7/a", ["http://10.0.0.7/a", "http://10.0.0.7/onvif/device_service"]),
        ("file:///etc/passwd gopher://x", ["http://10.0.0.7/onvif/device_service"]),
        ("http://[ http://1.2.3.4:99999/", ["http://10.0.0.7/onvif/device_service"]),
    ],
)
def test_where_the_service_may_be(xaddrs: str, urls: list[str]) -> None:
    assert list(device_urls(xaddrs.split(), "10.0.0.7")) == urls


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<a>",
        answer()[:-30],
        answer().replace(b"?>", b"?>" + LAUGHS, 1),
        b"\xff\xfe\x00",
        b"<x>" * 20_000,
    ],
    ids=["empty", "text", "open", "cut off", "entities", "bytes", "deep"],
)
def test_what_is_no_answer_names_nobody(data: bytes) -> None:
    assert parse_answer(data, "10.0.0.7") == ()


@given(st.binary(max_size=400))
def test_no_bytes_from_the_network_raise(data: bytes) -> None:
    parse_answer(data, "10.0.0.7")
    parse_answer(answer().replace(b"http://192.168.1.20/onvif/device_service", data), "10.0.0.7")


@given(st.lists(st.text(max_size=40), max_size=20))
def test_no_xaddr_raises_and_every_address_is_local(texts: list[str]) -> None:
    urls = device_urls(["http://" + text for text in texts], "10.0.0.7")
    assert len(urls) <= 8
    assert all(url.startswith("http://") for url in urls)
