"""The release window of a stream: what leaves has been scanned."""

from guard.window.outcomes import Channel, Held, Outcome, Released, Stopped
from guard.window.relay import relay
from guard.window.settings import WindowSettings
from guard.window.window import Window

__all__ = ["Channel", "Held", "Outcome", "Released", "Stopped", "Window", "WindowSettings", "relay"]
