# A front for Meson, which does the work.
#
#   make build    installs what is missing, then makes a release build in build/
#   make run      the whole system in the foreground: Redis, Dewey, Godot's server and worker
#   make test     every test, under sanitizers
#   make test-container  builds the container images, runs them and tests them
#   make analyse  gcc's analyzer, clang-tidy and cppcheck over the sources
#   make install  library, programs, manual pages and systemd units, to /usr/local (DESTDIR is honoured)
#   make clean    removes what was built; data stays
.PHONY: build run test test-container analyse install clean help installed

build: build/build.ninja
	@ninja -C build --quiet >build/ninja.out || { cat build/ninja.out >&2; exit 1; }

# Set up once, and again when the options below may have changed. A directory that was left half made is dropped.
build/build.ninja: Makefile | installed
	@[ -e $@ ] || rm -rf build
	@echo 'Building in build/ ...'
	@out=$$(meson setup $$([ ! -e $@ ] || echo --reconfigure) build --buildtype=release --libdir=lib 2>&1) || \
	    { echo "$$out" >&2; exit 1; }

installed:
	@.ci/install run

# Ends with its parent: a make that is killed leaves nothing running.
run: build
	@exec setpriv --pdeathsig TERM sh -c '[ "$$PPID" = "$$0" ] && exec godot/run build' "$$PPID"

test:
	@.ci/test

test-container:
	@PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/lib:tests/container /usr/bin/python3 tests/container/test_images.py

analyse:
	@.ci/install analyse && .ci/analyse

install: build
	meson install -C build --no-rebuild
	[ -n "$(DESTDIR)" ] || ldconfig

clean:
	rm -rf build build-asan build-clang build-fuzz build-analyse build-tsan build-container

help:
	@sed -n 's/^#   //p' Makefile
