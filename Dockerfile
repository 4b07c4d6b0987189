# Two images from one file, neither of which runs as root:
#
#   docker build -t tray .                        serves and trains; no browser inside
#   docker build -t tray-scrape --target scrape . scrapes, too: Debian's Chromium and its driver
#
#   docker run -p 8000:8000 -v "$PWD/runs/pizza:/run/tray:ro" tray
#   docker run --security-opt seccomp=unconfined -v "$PWD:/work" tray-scrape scrape pizza --into data/raw/pizza
#
# Chromium keeps web pages in a sandbox of user namespaces, which Docker's default profile forbids; the option above
# allows them, and a profile that allows nothing else is better still. The folder at /work must be writable for user
# 10001, or name another: --user "$(id -u)".

FROM python:3.11-slim-bookworm AS build
WORKDIR /source
# Every file is checked against the lock; what the program needs is then installed from these alone.
COPY requirements.lock ./
RUN pip wheel --no-cache-dir --require-hashes --wheel-dir /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE tray.py ./
COPY dataset dataset
COPY scraper scraper
COPY train train
RUN python -m venv /opt/tray \
    && /opt/tray/bin/pip install --no-cache-dir --no-index --find-links /wheels .

FROM python:3.11-slim-bookworm AS program
RUN useradd --create-home --uid 10001 tray
COPY --from=build /opt/tray /opt/tray
ENV PATH=/opt/tray/bin:$PATH \
    HOME=/home/tray \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /work
ENTRYPOINT ["tray"]

FROM program AS scrape
# Unpinned on purpose: Debian keeps only the newest browser, and an old one is not safe.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium chromium-driver xvfb fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
ENV SE_AVOID_STATS=true
USER 10001
CMD ["--help"]

FROM program AS serve
USER 10001
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["serve", "/run/tray", "--host", "0.0.0.0", "--port", "8000"]
