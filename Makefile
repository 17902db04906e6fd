# make demo    the whole job on MNIST digits; says where the report is
# make test    formatting, lint, types, tests (in two processes); eight minutes
# make test-fast  tests alone, without other programs and frameworks; two minutes
# make test-all  the slow tests as well
# make sanitize  the engine's tests, with AddressSanitizer and UBSan built in
# make sanitize-fuzz  the engine misused for SECONDS (600), with them built in
# make sanitize-threads  threads that share a network, a minute, with ThreadSanitizer
# make fuzz-engine  the engine misused for ten minutes, and one network loaded 10,000 times
# make fuzz    spoilt files for each reader, SECONDS (600) for each
# make docs    the documentation, its notebooks run; build/docs/index.html
# make bench   engine and peers side by side, 12 minutes; writes benchmarks/results;
#              DATA_DIR="cifar10 nmnist": folders, for the networks trained on these data
# make bench-scale  time and memory of compiling, up to 10^8 neurons; five minutes
# make peers   SANA-FE, which tests compare counts and costs with, in its own environment
# make tools   compilers and QEMU for the networks as C, by apt; tests skip without them
# make audit   known holes of the pinned dependencies, as the package index tells them
#              (SERVICE=osv: as the OSV database does)
# make check-pythons  the package with what it alone brings, on each Python; run, profile,
#              cpu against Lava
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

PYTHONS ?= python3.10 python3.11 python3.12 python3.13
SECONDS ?= 600
SERVICE ?= pypi

.PHONY: docs demo test test-fast test-all sanitize sanitize-fuzz sanitize-threads fuzz fuzz-engine bench bench-scale peers tools audit check-pythons install clean

demo: $(INSTALLED)
	$(BIN)/snn-deploy demo -o demo

test: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q docs build/docs
	@echo build/docs/index.html

test-fast: $(INSTALLED)
	$(BIN)/pytest --fast

test-all: $(INSTALLED)
	$(BIN)/pytest --run-slow

# the engine with what $(1) names, memory or threads, in a folder and an environment of its
# own, beside which there is no other engine; $(2) are the libraries, $(3) is what is run
define sanitized
	rm -rf build/$(1) && mkdir -p build/$(1)
	$(BIN)/python -m venv --without-pip build/$(1)/env
	$(BIN)/python -c "import sys; print(*(p for p in sys.path if 'site-packages' in p), sep='\n')" \
		> $$(echo build/$(1)/env/lib/python3*/site-packages)/dependencies.pth
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation . \
		--target $$(echo build/$(1)/env/lib/python3*/site-packages) \
		-C cmake.define.ENGINE_SANITIZE=$(1) -C build-dir=build/sanitized-$(1)
	cp -r tests pyproject.toml build/$(1)
	cd build/$(1) && ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		TSAN_OPTIONS=halt_on_error=1 OPENBLAS_NUM_THREADS=1 LD_PRELOAD="$(foreach library,$(2) \
			libstdc++,$(shell $(CXX) -print-file-name=$(library).so))" env/bin/python -m $(3)
endef

sanitize: $(INSTALLED)
	$(call sanitized,memory,libasan,pytest -q tests/backends/test_engine.py \
		tests/backends/test_cpu.py tests/conformance/test_engine_equality.py)

sanitize-fuzz: $(INSTALLED)
	$(call sanitized,memory,libasan,tests.backends.fuzz_engine --seconds $(SECONDS))

sanitize-threads: $(INSTALLED)
	$(call sanitized,threads,libtsan,tests.backends.thread_engine --seconds 60)

peers:
	$(PYTHON) -m venv build/peers/sanafe
	build/peers/sanafe/bin/python -m pip install --quiet --disable-pip-version-check sanafe==2.2.9 numpy

tools:
	apt-get install --yes --no-install-recommends clang libclang-rt-dev \
		gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm

# in an environment of its own; --strict: a package that nobody answers for is a failure,
# where pip-audit would only leave it out and find "no known vulnerabilities"
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	build/audit/bin/pip-audit --strict --progress-spinner off --vulnerability-service $(SERVICE) \
		--disable-pip --no-deps -r constraints.txt

fuzz: $(INSTALLED)
	$(BIN)/python -m tests.hostile.fuzz --seconds $(SECONDS)

fuzz-engine: $(INSTALLED)
	$(BIN)/python -m tests.backends.fuzz_engine --seconds $(SECONDS)
	$(BIN)/python -m tests.backends.fuzz_engine --loads 10000

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(foreach folder,$(DATA_DIR),--data-dir $(folder))

bench-scale: $(INSTALLED)
	$(BIN)/python -m benchmarks.scale

install: $(INSTALLED)

# each Python gets an environment of its own: the package, what it alone brings, and Lava
check-pythons: $(INSTALLED)
	$(BIN)/python -m tests.conformance.replay record build/replay
	cp -r tests build/replay
	for python in $(PYTHONS); do \
		home=$(CURDIR)/build/$$(basename $$python) && rm -rf $$home && $$python -m venv $$home && \
		$$home/bin/python -m pip install --quiet --disable-pip-version-check . && \
		$$home/bin/python --version && du -sh $$home && cd build/replay && \
		$$home/bin/snn-deploy run mnist_lif.snn --data digits.npz && \
		$$home/bin/snn-deploy profile mnist_lif.snn --data digits.npz -o $$home/profile && \
		if $$home/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
			$$home/bin/python -m pip install --quiet --no-deps --ignore-requires-python lava-nc==0.10.0 asteval; \
		else \
			$$home/bin/python -m pip install --quiet lava-nc==0.10.0; \
		fi && \
		$$home/bin/snn-deploy doctor && \
		$$home/bin/python -m tests.conformance.replay check . && cd $(CURDIR) || exit 1; \
	done

# lava-nc declares Python 3.10 only; backends/lava/compat.py makes it run on later ones
$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt $(wildcard snn_deploy/backends/engine/*.cpp snn_deploy/backends/engine/*.h)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,test,dev]'
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
			-c constraints.txt lava-nc asteval; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
		-c constraints.txt lava-dl  # only for the traces among its tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt \
		snntorch 'spikingjelly; python_version >= "3.11"' sinabs loguru pbr tqdm neurobench  # what tests compare with
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
