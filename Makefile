# make demo    the whole job on MNIST digits; says where the report is
# make test    formatting, lint, types, tests
# make test-all  the slow tests as well
# make check-pythons  the trained models on other Pythons, cpu against Lava
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

PYTHONS ?= python3.10 python3.12

.PHONY: demo test test-all check-pythons install clean

demo: $(INSTALLED)
	$(BIN)/snn-deploy demo -o demo

test: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

test-all: $(INSTALLED)
	$(BIN)/pytest --run-slow

install: $(INSTALLED)

# each Python gets an environment of its own with little more than NumPy and Lava
check-pythons: $(INSTALLED)
	$(BIN)/python -m tests.conformance.replay record build/replay
	for python in $(PYTHONS); do \
		venv=build/$$(basename $$python) && $$python -m venv $$venv && \
		$$venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/conformance/requirements.txt && \
		if $$venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
			$$venv/bin/python -m pip install --quiet --no-deps --ignore-requires-python lava-nc==0.10.0 asteval; \
		else \
			$$venv/bin/python -m pip install --quiet lava-nc==0.10.0; \
		fi && \
		$$venv/bin/python --version && $$venv/bin/python -m tests.conformance.replay check build/replay || exit 1; \
	done

# lava-nc declares Python 3.10 only; backends/lava_compat.py makes it run on later ones
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[data,test,dev]'
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
			-c constraints.txt lava-nc asteval; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
		-c constraints.txt lava-dl  # only for the traces among its tests
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
