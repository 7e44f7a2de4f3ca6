"""Up to where have the pictures in a pack rows? What lies beyond was cut off before its rows were written."""

from __future__ import annotations

import sqlite_utils

from collector.archive.media import ThumbnailPacks


class PackEnds:
    """The writer's side; call `note` inside the archive's transaction, before the packs are synced."""

    def __init__(self, database: sqlite_utils.Database, packs: ThumbnailPacks) -> None:
        self._database, self._packs = database, packs

    def adopt_strays(self) -> None:
        """Find the pictures of a batch that a crash cut off between the packs and the rows."""
        noted = self._database.execute("SELECT pack, end FROM packs ORDER BY pack DESC LIMIT 1").fetchone()
        if noted is None:  # an archive of before ends were noted
            return
        newest, end = noted
        self._packs.adopt(newest, end)
        for pack in self._packs.names():
            if pack > newest:
                self._packs.adopt(pack, 0)

    def note(self) -> None:
        if grown := self._packs.grown:
            self._database.execute(
                "INSERT INTO packs VALUES (?, ?) ON CONFLICT (pack) DO UPDATE SET end = excluded.end", grown
            )
