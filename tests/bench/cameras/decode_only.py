"""What is the least that watching costs? Receive and decode every frame, and do nothing with it.

Started by `idle_streams`, one thread per address: `python -m tests.bench.cameras.decode_only URL...`.
"""

from __future__ import annotations

import sys
import threading

import av


def _decode(url: str) -> None:
    with av.open(url, options={"rtsp_transport": "tcp"}) as container:
        video = container.streams.video[0]
        video.thread_type = "NONE"
        for packet in container.demux(video):
            packet.decode()


if __name__ == "__main__":
    readers = [threading.Thread(target=_decode, args=(url,), daemon=True) for url in sys.argv[1:]]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
