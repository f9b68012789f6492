# Each target does all the set-up it needs; see .ci/uv.
RUN := .ci/uv run --quiet

.PHONY: sandbox run test slow browser gallery check fmt bench lock mutation

sandbox: ## the whole app against local stand-ins, with a page to click
	$(RUN) xtool sandbox

run: ## the app against the real services
	$(RUN) xtool serve

test: ## the default tests, within minutes: half of their time is waiting, so four files at once
	$(RUN) pytest -n 4 --dist loadfile

slow: ## the long tests
	$(RUN) pytest -m slow

browser: ## the tests that drive headless Chromium
	$(RUN) pytest -m browser

gallery: ## a picture of every card into docs/slack, with headless Chromium
	$(RUN) python -m tests.sandbox.gallery

check: ## style, types and the Slack manifest
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) xtool manifest --check

fmt:
	$(RUN) ruff check --fix
	$(RUN) ruff format

bench: ## measure; the figures of the last run are in docs/
	$(RUN) python -m tests.benchmarks

lock: ## exact versions and hashes of everything that runs in production
	.ci/uv lock --quiet --upgrade
	.ci/uv export --quiet --frozen --no-dev --no-emit-project --no-header \
	  --format requirements-txt --output-file requirements.txt
	! grep -nE '://|--(extra-)?index-url' requirements.txt

mutation: ## whether the tests notice when the state machine, the planner or the tags are wrong
	for core in delivery planner tags; do \
	  $(RUN) python -m tests.mutation.mutate sync/$$core.py \
	    tests/unit/test_delivery_*.py tests/unit/test_planner_*.py tests/unit/test_tags.py \
	    tests/unit/test_listening.py || exit 1; \
	done
