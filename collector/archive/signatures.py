"""Is what was kept what its site signed? Every signature and every body, one by one; 0.1 ms each.

On intake a later message may vouch for one that it names (`collector.intake.committer`), and a disk, or
somebody at it, may change a body afterwards: neither is taken on trust here.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from shared.signing import is_digest_signed


@dataclass(frozen=True, slots=True)
class Signatures:
    """What became of a site's signed messages, by their numbers."""

    checked: int
    wrong: tuple[int, ...]  # signed by none of the site's keys, of all it ever had
    not_as_signed: tuple[int, ...]  # the body is not the one signed: less is kept, or it was changed


def signatures(
    connection: sqlite3.Connection, site: str, keys: Sequence[ec.EllipticCurvePublicKey]
) -> Signatures:
    """Check all that a site signed; `keys` of every certificate it ever had."""
    rows = connection.execute(
        "SELECT sequence, signature, sha256, body FROM messages"
        " WHERE site = ? AND sequence NOTNULL AND signature NOTNULL ORDER BY instance, sequence",
        (site,),
    )
    count, wrong, other = 0, list[int](), list[int]()
    for sequence, signature, digest, body in rows:
        count += 1
        if not any(is_digest_signed(digest, signature, key) for key in keys):
            wrong.append(sequence)
        if hashlib.sha256(body).digest() != digest:
            other.append(sequence)
    return Signatures(count, tuple(wrong), tuple(other))
