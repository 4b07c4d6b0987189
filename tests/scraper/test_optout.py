"""Opt-outs: headers and robots.txt."""

import pytest

from scraper.optout import header_refusal, parse_robots


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"X-Robots-Tag": "noai"}, "noai"),
        ({"X-Robots-Tag": "noindex, NoImageAI"}, "noimageai"),
        ({"X-Robots-Tag": "otherbot: noml, nofollow"}, "noml"),
        ({"X-Robots-Tag": "noindex"}, ""),
        ({"Content-Usage": "train-ai=n"}, "train-ai=n"),
        ({"Content-Usage": "search=y, train-ai=n"}, "train-ai=n"),
        ({"Content-Usage": "train-ai=y"}, ""),
        ({"Content-Usage": "train-ai=none-of-it"}, ""),
        ({"tdm-reservation": "1"}, "tdm-reservation"),
        ({}, ""),
    ],
)
def test_headers_say_no(headers, refusal):
    """Each known opt-out is recognised, and nothing else is taken for one."""
    assert refusal == header_refusal(headers)


@pytest.mark.parametrize(
    ("text", "path", "refusal"),
    [
        ("User-agent: *\nDisallow: /private", "/private/a.jpg", "robots.txt"),
        ("User-agent: *\nDisallow: /private", "/public/a.jpg", ""),
        ("User-agent: *\nDisallow: /\nAllow: /photos", "/photos/a.jpg", ""),
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg", "robots.txt"),
        ("User-agent: *\nDisallow: /*.jpg$", "/x/a.jpg?v=1", ""),
        ("User-agent: *\nDisallow: /a*b/", "/axxb/c.png", "robots.txt"),
        ("User-agent: *\nDisallow:", "/a.jpg", ""),
        ("User-agent: otherbot\nDisallow: /", "/a.jpg", ""),
        ("User-agent: tray\nDisallow: /\n\nUser-agent: *\nAllow: /", "/a.jpg", "robots.txt"),
        ("User-agent: tray\nAllow: /\n\nUser-agent: *\nDisallow: /", "/a.jpg", ""),
        ("User-agent: a\nUser-agent: *\nDisallow: /x # note", "/x", "robots.txt"),
        ("User-agent: *\nContent-Usage: train-ai=n", "/a.jpg", "robots.txt: train-ai=n"),
        ("User-agent: *\nContent-Usage: /art train-ai=n", "/photo.jpg", ""),
        ("User-agent: *\nDisallow: /caf%C3%A9", "/caf%C3%A9/a.jpg", "robots.txt"),
        ("User-agent: *\nDisallow: /photos\nAllow: /photos", "/photos/a.jpg", ""),
        ("<html>not found</html>", "/a.jpg", ""),
        ("", "/a.jpg", ""),
    ],
)
def test_robots_txt_is_obeyed(text, path, refusal):
    """Our own group beats that for all, the longest rule wins, of equal ones what allows; wildcards hold."""
    assert refusal == parse_robots(text).refusal(f"https://a.example{path}")
