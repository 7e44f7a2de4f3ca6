from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from shared.messages import PathPoint
from shared.signing import canonical, chained, is_digest_signed, is_signature, is_signed, sign

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
BODY = b'{"a":1}'


def test_a_message_is_written_in_one_way_only() -> None:
    said = PathPoint(t=1.0, x=0.25, y=0.0)
    assert canonical(said) == canonical(PathPoint(y=0, x=0.25, t=1)) == b'{"t":1,"x":0.25,"y":0}'
    assert PathPoint.model_validate_json(canonical(said)) == said


def test_what_was_signed_is_known_as_such_and_nothing_else_is() -> None:
    signature = sign(BODY, KEY)
    assert is_signed(BODY, signature, KEY.public_key())
    assert not is_signed(BODY + b" ", signature, KEY.public_key())
    assert not is_signed(BODY, signature, OTHER.public_key())
    assert not is_signed(BODY, sign(BODY, OTHER), KEY.public_key())


def test_a_signature_can_be_checked_by_the_hash_of_what_was_signed() -> None:
    signature, digest = sign(BODY, KEY), hashlib.sha256(BODY).digest()
    assert is_digest_signed(digest, signature, KEY.public_key())
    assert not is_digest_signed(digest, signature, OTHER.public_key())
    assert not is_digest_signed(hashlib.sha256(b"").digest(), signature, KEY.public_key())
    assert not is_digest_signed(digest, "no signature", KEY.public_key())


@given(st.one_of(st.text(max_size=200), st.binary(max_size=100).map(lambda raw: raw.hex())))
def test_any_text_in_place_of_a_signature_is_just_not_one(text: str) -> None:
    assert not is_signed(BODY, text, KEY.public_key())


@pytest.mark.parametrize("_", range(50))
def test_a_signature_fits_its_place_on_the_wire(_: int) -> None:
    signature = sign(BODY, KEY)
    assert len(signature) <= 96
    assert is_signature(signature)


@pytest.mark.parametrize("text", ["", "M", "x" * 92, "M" * 60_000, "ME\n" + "A" * 90, "MEUé" + "A" * 90])
def test_what_is_not_written_as_a_signature_is_known(text: str) -> None:
    assert not is_signature(text)


def test_the_chain_is_the_hash_of_the_very_bytes() -> None:
    assert chained(BODY) == hashlib.sha256(BODY).hexdigest()
