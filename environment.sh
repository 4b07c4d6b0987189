#!/bin/sh
# Makes .venv from requirements.lock and sees to a Chromium with its driver; does nothing when both are there.
set -eu
cd "$(dirname "$0")"

say() { printf '%s\n' "$*" >&2; }
fail() { say "environment: $*"; exit 1; }

# apt-get as root or with a sudo that does not ask; anything else is the user's to decide.
install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo"
    else return 1
    fi
    say "Installing Debian packages: $*"
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null' install "$@"
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null &&
            { printf '%s' "$candidate"; return; }
    done
    return 1
}

make_venv() {
    rm -rf .venv  # what an interrupted try left
    "$python" -m venv .venv 2>/dev/null && return
    install python3-venv || fail "expected Python's venv module, which Debian keeps in a package of its own. Install python3-venv and run make again."
    rm -rf .venv
    "$python" -m venv .venv
}

wanted=$(cat requirements.lock pyproject.toml | cksum)
if [ "$(cat .venv/.made-from 2>/dev/null || true)" != "$wanted" ]; then
    python=$(find_python) || fail "expected Python 3.11, 3.12 or 3.13. Received: $(python3 --version 2>&1 || echo none). Install one, or name it: make env PYTHON=/path/to/python3.12"
    say "Making .venv with $("$python" --version) (about 2 GB, some minutes)"
    .venv/bin/python -c pass 2>/dev/null || make_venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    printf '%s' "$wanted" > .venv/.made-from
fi

# A missing browser stops nobody here: Selenium Manager and webdriver-manager may still find one, and `tray doctor` tells.
if [ -z "${TRAY_BROWSER:-}" ] && ! command -v chromium >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1 &&
    ! command -v google-chrome >/dev/null 2>&1; then
    install chromium chromium-driver || say "environment: no Chromium or Chrome found and no right to install one; tray will try Selenium Manager. Should that fail: install chromium and chromium-driver, or set TRAY_BROWSER and TRAY_DRIVER."
elif [ -z "${TRAY_DRIVER:-}" ] && command -v chromium >/dev/null 2>&1 && ! command -v chromedriver >/dev/null 2>&1; then
    install chromium-driver || say "environment: no chromedriver found and no right to install one; tray will try Selenium Manager."
fi
