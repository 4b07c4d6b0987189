# Two commands: `make demo` runs the whole pipeline offline, `make test` passes the tests.
# Most tests wait for pages and pauses, so more of them than there are cores run side by side.
JOBS ?= 3
PYTEST_ARGS ?=
DEMO_ARGS ?=

.PHONY: demo test env lint lock clean

demo: env
	.venv/bin/tray demo $(DEMO_ARGS)

# Tests with real browsers and real kills have time limits, which company on few cores can break:
# what failed is tried once more, alone, and the run fails if it fails again.
test: env lint
	.venv/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS) || { \
		echo "What failed in company is tried once more, alone."; \
		.venv/bin/python -m pytest --last-failed --last-failed-no-failures none $(PYTEST_ARGS); }

env:
	@sh ./environment.sh

lint: env
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# Hashes only, no addresses: the lock serves with any mirror of the Python package index.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group dev -o requirements.lock

clean:
	rm -rf .venv demo
