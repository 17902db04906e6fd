# make demo    the whole job on MNIST digits; says where the report is
# make test    formatting, lint, types, tests
# make test-all  the slow tests as well
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-all install clean

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

# lava-nc declares Python 3.10 only; backends/lava_compat.py makes it run on later ones
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[data,test,dev]'
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
			-c constraints.txt lava-nc asteval; \
	fi
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
