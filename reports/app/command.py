"""Opening the app from the command line, and closing it again."""

from __future__ import annotations

import signal
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from reports.app.band import COVERAGE
from reports.app.server import AppServer, is_loopback
from reports.app.source import open_app

__all__ = ["serve"]

WARNING = (
    "Warning: anybody who can reach {host} on your network can open the app, and images travel to "
    "it unencrypted. Use it only on a network you trust, with images that name nobody."
)


def serve(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    coverage: float = COVERAGE,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the app of a run until it is interrupted (Ctrl-C).

    Parameters
    ----------
    run : str or Path
        As `open_app`.
    host : str
        Where to listen; anything but this machine alone is warned of.
    port : int
        0 for any that is free.
    coverage : float
        As `open_app`.
    open_browser : bool
    say : callable
        Told the address, and when it ends.

    Raises
    ------
    SchemaError, ArgumentError
        As `open_app` and `AppServer`.
    """
    app = open_app(run, coverage=coverage, say=say)
    with AppServer(app, host=host, port=port) as server:
        if not is_loopback(host):
            say(WARNING.format(host=host))
        say(f"The app runs at {server.url} (stop it with Ctrl-C). Research use only.")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        if open_browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever(poll_interval=0.25)
        except KeyboardInterrupt:
            say("Stopped. Nothing was kept.")
