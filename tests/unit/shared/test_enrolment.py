from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.enrolment import Code, client_proof, proof_matches, server_proof


def test_a_code_is_read_however_it_is_typed() -> None:
    code = Code.parse("N9JM-W7MS-S9WA-8T1X-12P8")
    for typed in ("n9jmw7mss9wa8t1x12p8", " N9JM W7MS S9WA 8T1X 12P8\n", "N9JM-W7MS-S9WA-8TlX-I2P8"):
        assert Code.parse(typed) == code
    assert code.written() == "N9JM-W7MS-S9WA-8T1X-12P8"


def test_a_new_code_is_new_and_readable() -> None:
    codes = {Code.new().written() for _ in range(100)}
    assert len(codes) == 100
    assert all(Code.parse(code).written() == code for code in codes)


def test_a_code_in_a_message_shows_no_secret() -> None:
    code = Code.new()
    assert code.secret not in f"{code} {code!r}"


@given(st.text(max_size=40))
def test_what_is_no_code_is_refused_and_nothing_else_happens(typed: str) -> None:
    try:
        code = Code.parse(typed)
    except ValueError:
        return
    assert Code.parse(code.written()) == code


def test_a_proof_holds_for_one_secret_one_direction_and_one_message_only() -> None:
    proof = server_proof("S" * 16, "00", "ca")
    assert proof_matches(proof, server_proof("S" * 16, "00", "ca"))
    others = (
        server_proof("T" * 16, "00", "ca"),
        server_proof("S" * 16, "01", "ca"),
        server_proof("S" * 16, "00", "cb"),
        client_proof("S" * 16, "00\0ca"),
    )
    assert not any(proof_matches(proof, other) for other in others)


def test_a_proof_that_is_no_text_of_ours_does_not_match() -> None:
    with pytest.raises(UnicodeEncodeError):
        proof_matches("a" * 64, "\udcff")
    assert not proof_matches("a" * 64, "é")
