# Front end for Meson.
#
#   make build    installs missing packages, then makes a release build in build/
#   make run      runs Redis, Dewey, Godot's server and worker in the foreground
#   make test     runs all tests, under sanitizers
#   make test-interop  runs all clients of the TypeScript SDK against our server, over every transport
#   make test-container  builds the container images, runs them and tests them
#   make analyse  runs gcc's analyzer, clang-tidy and cppcheck on the sources
#   make coverage  shows the lines and branches that the tests execute
#   make wheel    builds the wheel of the Python package in build/wheel/
#   make test-bindings  runs the long tests of the packages for other languages
#   make install  installs library, programs, manual pages and systemd units in /usr/local (below DESTDIR)
#   make clean    removes all builds; keeps data
.PHONY: build run test test-interop test-container test-bindings wheel analyse coverage install clean help installed

build: build/build.ninja
	@ninja -C build --quiet >build/ninja.out || { cat build/ninja.out >&2; exit 1; }

# Set up once, and again after a change of this file, which contains the options. An incomplete directory is removed.
build/build.ninja: Makefile | installed
	@[ -e $@ ] || rm -rf build
	@echo 'Building in build/ ...'
	@out=$$(meson setup $$([ ! -e $@ ] || echo --reconfigure) build --buildtype=release --libdir=lib 2>&1) || \
	    { echo "$$out" >&2; exit 1; }

installed:
	@.ci/install run

# Ends with its parent: after make is killed no process remains.
run: build
	@exec setpriv --pdeathsig TERM sh -c '[ "$$PPID" = "$$0" ] && exec godot/run build' "$$PPID"

test:
	@.ci/test

test-interop:
	@.ci/test interop

test-bindings:
	@.ci/test bindings

# Built from a copy, because setuptools writes beside its sources; offline, with Debian's setuptools and cffi.
wheel: build
	@.ci/install wheel
	@rm -rf build/wheel && mkdir build/wheel && cp -r iccm_network/bindings/python build/wheel/source
	@ICCM_BUILD=$(CURDIR)/build /usr/bin/python3 -m pip wheel --quiet --no-build-isolation --no-index --no-deps \
	    --wheel-dir build/wheel build/wheel/source
	@ls build/wheel/*.whl

test-container:
	@PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/lib:tests/container /usr/bin/python3 tests/container/test_images.py

analyse:
	@.ci/install analyse && .ci/analyse

coverage:
	@.ci/coverage

install: build
	meson install -C build --no-rebuild
	[ -n "$(DESTDIR)" ] || ldconfig

clean:
	rm -rf build build-asan build-clang build-fuzz build-analyse build-tsan build-container build-coverage

help:
	@sed -n 's/^#   //p' Makefile
