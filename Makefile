# make md    sets everything up, gets SO3LR's weights and runs a capped alanine peptide for ten picoseconds
# make test  runs the linters and all tests; those of openmm-torch in an environment of their own
# make test-long  runs what takes minutes to build: more CUDA kernels under the sanitizers, wheels, aarch64
# make wheel docs  makes dist/ (a wheel to give away), build/site/ (the documentation as web pages)
# They make and use .venv in this folder, make test .venv-torchforce as well; as root on Debian it installs PoCL by apt.
# PYTHON=python3.12 make … picks the Python.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
TORCHFORCE := .venv-torchforce
CXX_SOURCES := $(shell find kernels tests -name '*.cpp' -o -name '*.h')
BUILD_INPUTS := $(shell find kernels cmake CMakeLists.txt pyproject.toml -type f 2>/dev/null)
OUTPUT ?= md-output

.PHONY: md test opencl test-torchforce test-long lint format wheel docs clean

md: $(VENV)/.installed
	$(VENV)/bin/so3krates install so3lr
	$(VENV)/bin/so3krates md examples/ac_ala3_nhme.pdb --model so3lr --temperature 300 --time 10ps --output $(OUTPUT) --overwrite

# In two processes, which suits two cores and the memory that compilers take.
test: $(VENV)/.installed-dev lint opencl
	$(RUN) pytest -n 2 --dist worksteal
	$(MAKE) test-torchforce

# With the OpenMM and the torch that openmm-torch was made for: the oldest torch and OpenMM that are supported.
FORCE_TESTS := $(addprefix tests/openmm_force/test_,force_values.py force_serialization.py python_force.py)
test-torchforce: $(TORCHFORCE)/.installed
	$(TORCHFORCE)/bin/python -m pytest tests/torch_force tests/torch_operator $(FORCE_TESTS)

# OpenMM's OpenCL platform on the CPU (PoCL), where Debian's packages can be installed; its tests are skipped elsewhere.
opencl:
	@ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends pocl-opencl-icd ocl-icd-libopencl1; } || \
	echo "no OpenCL: tests on OpenMM's OpenCL platform will be skipped (as root: apt-get install pocl-opencl-icd)"

test-long: $(VENV)/.installed-dev
	$(RUN) pytest -m long

lint: $(VENV)/.installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror $(CXX_SOURCES)

format: $(VENV)/.installed-dev
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
	$(VENV)/bin/clang-format -i $(CXX_SOURCES)

wheel:
	scripts/build_wheel.sh $(PYTHON)

docs: build/docs-venv/.installed
	build/docs-venv/bin/python -m mkdocs build --strict

clean:
	rm -rf build dist $(VENV) $(TORCHFORCE) $(OUTPUT)

$(VENV)/bin/python $(TORCHFORCE)/bin/python: %/bin/python:
	$(PYTHON) -m venv $* || { echo "could not make a virtual environment: on Debian and Ubuntu, apt install python3-venv python3-dev g++" >&2; exit 1; }

# Requirements are pinned: OpenMM because the glue is tied to its minor version, the rest so that every machine gets
# what was tested.
$(VENV)/.installed: $(VENV)/bin/python requirements/main.txt $(BUILD_INPUTS)
	$(RUN) pip install -q -r requirements/main.txt
	$(RUN) pip install -q --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt
	$(RUN) pip install -q -r requirements/dev.txt
	touch $@

# Not in .venv: only web pages are made with it.
build/docs-venv/.installed: requirements/docs.txt
	$(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/python -m pip install -q -r requirements/docs.txt
	touch $@

# --no-deps and the installed OpenMM: the package is built for the one that is there (docs/openmm_force.md). The engine
# knows neither OpenMM nor torch: the library that .venv was built with saves the minutes of compiling it again.
$(TORCHFORCE)/.installed: $(TORCHFORCE)/bin/python requirements/torchforce.txt $(VENV)/.installed
	$(TORCHFORCE)/bin/python -m pip install -q -r requirements/torchforce.txt
	engine=$$(ls -t $(CURDIR)/build/cp*/kernels/libso3krates_engine.a | head -n 1) && \
	$(TORCHFORCE)/bin/python -m pip install -q --no-build-isolation --no-deps -C build-dir=build/torchforce \
		-C cmake.define.SO3KRATES_ENGINE=$$engine -e .
	touch $@
