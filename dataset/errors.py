"""Every way in which tray says no, each with the exit code of the command line.

TrayError (1)
├── ConfigError (2)        tray.toml or a flag is not what was expected
├── BrowserError (3)       no browser or driver could be started
├── EngineBlocked (4)      consent wall, captcha or 429; never worked around
├── EngineBroken (5)       a page loaded and nothing on it was recognised
├── NotEnoughImages (6)    too few pictures for what was asked
├── RunNotFound (7)        no finished run where one was named
└── FolderLocked (8)       another process works on the same folder
"""

from collections.abc import Iterable
from pathlib import Path


class TrayError(Exception):
    """Something the user can mend; its text says what was expected, what came and what to do next.

    Example::

        try:
            build(tray)
        except TrayError as error:
            sys.exit(error.exit_code)
    """

    exit_code = 1


class ConfigError(TrayError):
    """A file, key or flag holds something else than was expected."""

    exit_code = 2


class BrowserError(TrayError):
    """No browser could be started; the text lists which browsers and drivers were tried."""

    exit_code = 3


class EngineBlocked(TrayError):
    """An engine showed a captcha, a consent wall that stays, or answered 429."""

    exit_code = 4

    def __init__(self, message: str, *, wait: float = 0.0) -> None:
        """Keep ``wait``, the seconds for which the engine asked to be left alone."""
        super().__init__(message)
        self.wait = wait


class EngineBroken(TrayError):
    """A result page loaded and neither the selectors nor the general reader found a picture on it."""

    exit_code = 5

    def __init__(self, message: str, *, page: Path | None = None) -> None:
        """Keep ``page``, the path under which the page was saved."""
        super().__init__(message)
        self.page = page


class NotEnoughImages(TrayError):
    """There are fewer pictures than the work needs."""

    exit_code = 6


class RunNotFound(TrayError):
    """The named folder holds no finished run."""

    exit_code = 7


class FolderLocked(TrayError):
    """Another process holds the folder's lock."""

    exit_code = 8


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question about the known word that is nearest, to end a sentence with; empty where none is near."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
