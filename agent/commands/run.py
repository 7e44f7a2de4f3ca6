"""`agent run`: watch every camera that was added, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import threading

import cv2

from agent.heaps import share_heaps
from agent.only_one import only_one
from agent.service import Agent
from agent.settings import AgentSettings, home
from shared import logs


def run() -> None:
    share_heaps()
    cv2.setNumThreads(1)  # pictures this small are not worth a pool that is woken for each of them
    folder = home()
    settings = AgentSettings.load(folder / "agent.toml")
    logs.set_up(settings.log_level)
    agent = Agent(folder, settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with only_one(folder):
        agent.run(stop)
