"""How the owners of pictures say no: headers of an answer, and the robots.txt of its host."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

TOKEN: Final = "tray"  # noqa: S105 - a name, not a secret
"""The name under which a robots.txt can address us."""
NO_AI: Final = frozenset({"noai", "noimageai", "noml"})
NO_TRAINING: Final = re.compile(r"(?:^|[,;\s])train-ai\s*=\s*n(?![\w])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Robots:
    """What a robots.txt says to us: rules (allowed or not, path pattern), longest match first."""

    rules: tuple[tuple[bool, str], ...] = ()
    no_training: tuple[str, ...] = ()
    """Path patterns below which pictures may not train models (``Content-Usage: train-ai=n``)."""
    error: str = ""
    """Why it could not be read; until it can, nothing of its host is fetched (RFC 9309, 2.3.1.4)."""

    def refusal(self, url: str) -> str:
        """Return why the address may not be fetched, or an empty string."""
        parts = urlsplit(url)
        path = unquote(parts.path or "/") + (f"?{unquote(parts.query)}" if parts.query else "")
        if any(_matches(pattern, path) for pattern in self.no_training):
            return "robots.txt: train-ai=n"
        for allowed, pattern in self.rules:
            if _matches(pattern, path):
                return "" if allowed else "robots.txt"
        return ""


FREE: Final = Robots()
UNREAD: Final = Robots(error="robots.txt unavailable")


def header_refusal(headers: Mapping[str, str]) -> str:
    """Return the opt-out that an answer's headers carry, such as ``noai``, or an empty string.

    An agent's name before a directive does not matter: whoever shuts out one trainer means all of them.
    """
    for directive in re.split(r"[,:]", headers.get("X-Robots-Tag", "")):
        if directive.strip().lower() in NO_AI:
            return directive.strip().lower()
    if NO_TRAINING.search(headers.get("Content-Usage", "")):
        return "train-ai=n"
    if headers.get("tdm-reservation", "").strip() == "1":
        return "tdm-reservation"
    return ""


def parse_robots(text: str) -> Robots:
    """Return what a robots.txt says to us (RFC 9309: our own group, else that for ``*``; the longest match wins)."""
    text = text.removeprefix("\ufeff")
    groups: dict[str, list[tuple[str, str]]] = {}
    agents: list[str] = []
    in_rules = False
    for line in text.splitlines():
        name, _, value = line.split("#", 1)[0].partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == "user-agent":
            agents = [value.lower()] if in_rules else [*agents, value.lower()]
            in_rules = False
        elif name in {"allow", "disallow", "content-usage"}:
            in_rules = True
            for agent in agents or ["*"]:
                groups.setdefault(agent, []).append((name, value))
    ours = [rule for agent, rules in groups.items() if agent.split("/")[0] == TOKEN for rule in rules]
    chosen = ours or groups.get("*", [])
    rules = [(name == "allow", unquote(value)) for name, value in chosen if name != "content-usage" and value]
    rules.sort(key=lambda rule: (len(rule[1]), rule[0]), reverse=True)
    usages = [value for name, value in chosen if name == "content-usage" and NO_TRAINING.search(value)]
    return Robots(tuple(rules), tuple(value.split()[0] if value.startswith("/") else "/" for value in usages))


def _matches(pattern: str, path: str) -> bool:
    """Whether a path begins as the pattern says; ``*`` stands for anything, ``$`` at the end for the path's end."""
    ends = pattern.endswith("$")
    pieces = pattern.removesuffix("$").split("*")
    if not path.startswith(pieces[0]):
        return False
    at = len(pieces[0])
    for index, piece in enumerate(pieces[1:], 1):
        last = ends and index == len(pieces) - 1
        if last:
            return len(path) - len(piece) >= at and path.endswith(piece)
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return not ends or at == len(path)
