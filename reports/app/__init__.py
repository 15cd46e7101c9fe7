"""The phone app: a trained network and its nomogram as a page that a phone can open.

Research use only; not a medical device.
"""

from __future__ import annotations

from reports.app.command import serve
from reports.app.server import AppServer
from reports.app.source import AppRun, open_app

__all__ = ["AppRun", "AppServer", "open_app", "serve"]
