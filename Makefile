# libkv: build, check, install. `make help` lists the targets.
#
# Non-recursive over the folders, dependency-tracked, out of tree: everything lands under
# $(BUILD)/<profile>/, at the path that its source has. A profile is a set of options:
#
#   release   the libraries, examples, kv_bench      asan      address + undefined + leak
#   debug     the tests (Criterion)                  tsan      threads
#   fuzz      libFuzzer targets (clang)              valgrind, coverage
#
# Nothing is probed while this file is read: `make deps demo` must work where the compiler's
# friends are not installed yet.
#
# Honoured: CC AR CFLAGS CPPFLAGS LDFLAGS PREFIX LIBDIR INCLUDEDIR MANDIR DESTDIR BUILD, and
#   V=1 shows commands; WERROR=-Werror makes warnings fatal (lint does); PLAIN=1 runs the tests
#   without Criterion; SEED= SEEDS= SECONDS= OPS= KILLS= reach the tests that know them.

VERSION  = 0.1.0
SONAME   = libkv.so.0
BUILD   ?= build
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
INSTALL ?= install
FUZZ_CC ?= clang
FUZZ_SECONDS = $(or $(SECONDS),20)
PROFILE ?= debug
WERROR  ?=
PLAIN   ?=
Q        = $(if $(V),,@)
# One line a command, unless V=1 shows it whole or -s wants silence.
say      = $(if $(V),,@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,printf '  %-8s %s\n' '$1' '$2';))

.DEFAULT_GOAL = all
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:

# ---- what there is ------------------------------------------------------------------------

KV_SRC      = $(filter-out lib/sim/%,$(wildcard lib/*/*.c)) $(wildcard transport/*.c)
SIM_SRC     = $(wildcard lib/sim/*.c)
EXAMPLE_SRC = $(wildcard examples/*.c)
BENCH_SRC   = $(wildcard bench/*.c)
FUZZ_SRC    = $(wildcard tests/fuzz/*_fuzz.c)
UNIT_SRC    = $(wildcard tests/unit/*/*.c)
SUITE_SRC   = $(wildcard tests/integration/*_test.c tests/sim/*_test.c)
SIMTEST_SRC = $(wildcard tests/sim/*_test.c)
WORKER_SRC  = $(wildcard tests/integration/*_worker.c)
PLANTED_SRC = $(wildcard tests/planted/*.c)
PLAIN_SRC   = $(wildcard tests/support/plain/*.c)
# What no test program names itself goes into an archive that all of them may draw from.
HELPER_SRC  = $(wildcard tests/support/*.c) \
              $(filter-out %_test.c %_worker.c,$(wildcard tests/integration/*.c tests/sim/*.c)) \
              $(filter-out %_fuzz.c,$(wildcard tests/fuzz/*.c))

HEADERS = $(wildcard include/*.h lib/*/*.h transport/*.h examples/*.h bench/*.h tests/*/*.h \
            tests/*/*/*.h \
            tests/support/plain/criterion/*.h)
SOURCES = $(KV_SRC) $(SIM_SRC) $(EXAMPLE_SRC) $(BENCH_SRC) $(FUZZ_SRC) $(UNIT_SRC) $(SUITE_SRC) \
          $(WORKER_SRC) $(PLANTED_SRC) $(PLAIN_SRC) $(HELPER_SRC)
MAN     = $(wildcard man/*.3 man/*.7)

# ---- options ------------------------------------------------------------------------------

LDLIBS = -lzstd -lxxhash -lpthread

# Nothing below starts before the packages are there, also under -j.
DEPS_GOALS = $(filter deps deps-ci deps-bench,$(MAKECMDGOALS))

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wold-style-definition -Wundef -Wvla \
       -Wpointer-arith -Wwrite-strings
WARN_STRICT = $(WARN) -Wpedantic -Wconversion -Wmissing-prototypes -Wcast-qual -Wswitch-enum \
              -Wnull-dereference

# By the folder that a source lies in. A library that others link in speaks plain C11 and POSIX,
# and hides all that the version script does not name.
FLAGS.lib      = -std=c11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 -Iinclude -Ilib \
                 -fPIC -fvisibility=hidden $(WARN_STRICT)
# A transport sees what a host sees, and has the system to itself.
FLAGS.transport = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude \
                  -fPIC -fvisibility=hidden $(WARN_STRICT)
FLAGS.examples = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude $(WARN_STRICT)
FLAGS.bench    = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude -Ilib -Ibench $(WARN_STRICT)
FLAGS.tests    = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude -Ilib -Itests $(WARN)

# By profile. PLAIN.x: the tests run under tests/support/plain instead of Criterion, in one
# process, so that TSan can start and a leak counts.
PROFILES = release debug asan tsan fuzz valgrind coverage

CHECKS       = -DKVI_CHECK_LOCKS -fno-omit-frame-pointer
OPT.release  = -O2 -g
OPT.debug    = -O1 -g $(CHECKS)
OPT.asan     = -O1 -g $(CHECKS) -fsanitize=address,undefined \
               -fno-sanitize-recover=all
OPT.tsan     = -O1 -g $(CHECKS) -fsanitize=thread
OPT.fuzz     = -O1 -g $(CHECKS) -fsanitize=fuzzer-no-link,address,undefined \
               -fno-sanitize-recover=all
OPT.valgrind = -O1 -g $(CHECKS)
OPT.coverage = -O0 -g $(CHECKS) --coverage -fprofile-update=atomic

PLAIN.release  = $(PLAIN)
PLAIN.debug    = $(PLAIN)
PLAIN.asan     = 1
PLAIN.tsan     = 1
PLAIN.valgrind = 1
PLAIN.coverage = 1

CC.of    = $(if $(filter fuzz,$1),$(FUZZ_CC),$(CC))
flags_of = $(OPT.$1) $(CFLAGS)

# ---- rules of every profile ---------------------------------------------------------------

objects  = $(patsubst %.c,$(BUILD)/$1/%.o,$2)
programs = $(patsubst %.c,$(BUILD)/$1/%,$2)
# The programs that make up a test run, and what they need beside them.
test_programs = $(if $(UNIT_SRC),$(BUILD)/$1/unit_tests) $(call programs,$1,$(SUITE_SRC))
workers       = $(call programs,$1,$(WORKER_SRC))

# Rewrites a file only if its text differs: what depends on it is rebuilt when options change.
# A quote inside an option does not break the command.
quote  = '$(subst ','\'',$1)'
record = @mkdir -p $(@D); printf '%s\n' $(call quote,$1) >$@.new; \
         if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi

define PROFILE_RULES
$(BUILD)/$1/flags: FORCE | $(DEPS_GOALS)
	$$(call record,$$(call CC.of,$1) $$(call flags_of,$1) $$(CPPFLAGS) $$(WERROR) \
	  $$(FLAGS.lib) $$(FLAGS.transport) $$(FLAGS.examples) $$(FLAGS.bench) $$(FLAGS.tests) \
	  $$(PLAIN.$1))

$(BUILD)/$1/contents: FORCE | $(DEPS_GOALS)
	$$(call record,$$(KV_SRC) $$(SIM_SRC) $$(HELPER_SRC) $$(UNIT_SRC) $$(PLAIN_SRC) $$(BENCH_SRC))

$(BUILD)/$1/%.o: %.c $(BUILD)/$1/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)$$(call CC.of,$1) $$(if $$(PLAIN.$1),-Itests/support/plain) \
	  $$(FLAGS.$$(firstword $$(subst /, ,$$<))) $$(WERROR) $$(call flags_of,$1) $$(CPPFLAGS) \
	  -MMD -MP -c -o $$@ $$<

$(BUILD)/$1/libkv.a: $(call objects,$1,$(KV_SRC))
$(BUILD)/$1/libkvsim.a: $(call objects,$1,$(KV_SRC) $(SIM_SRC))
$(BUILD)/$1/libkvtest.a: $(call objects,$1,$(HELPER_SRC) $(if $(PLAIN.$1),$(PLAIN_SRC)))
$(BUILD)/$1/libkv.a $(BUILD)/$1/libkvsim.a $(BUILD)/$1/libkvtest.a: $(BUILD)/$1/contents
	@rm -f $$@
	$$(call say,AR,$$@)$$(AR) rcs $$@ $$(filter %.o,$$^)

$(BUILD)/$1/unit_tests: $(call objects,$1,$(UNIT_SRC))
$(call programs,$1,$(UNIT_SRC) $(SUITE_SRC) $(WORKER_SRC) $(PLANTED_SRC) $(FUZZ_SRC)): %: %.o
$(BUILD)/$1/unit_tests $(call programs,$1,$(UNIT_SRC) $(SUITE_SRC) $(WORKER_SRC) $(PLANTED_SRC)): \
  $(BUILD)/$1/libkvtest.a $(BUILD)/$1/libkvsim.a $(BUILD)/$1/contents
	$$(call say,LINK,$$@)$$(call CC.of,$1) $$(call flags_of,$1) $$(LDFLAGS) -o $$@ \
	  $$(filter %.o,$$^) $$(filter %.a,$$^) $$(if $$(PLAIN.$1),,-lcriterion) $$(LDLIBS)
endef
$(foreach p,$(PROFILES),$(eval $(call PROFILE_RULES,$p)))

-include $(foreach p,$(PROFILES),$(patsubst %.o,%.d,$(call objects,$p,$(SOURCES))))

.PHONY: FORCE
FORCE:

# ---- libraries ----------------------------------------------------------------------------

REL = $(BUILD)/release

.PHONY: all
all: $(REL)/libkv.a $(REL)/libkv.so $(REL)/libkvsim.a  ## the libraries (default)

$(REL)/libkv.so.$(VERSION): $(call objects,release,$(KV_SRC)) lib/kv.map $(REL)/contents
	$(call say,LINK,$@)$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=lib/kv.map \
	  -Wl,-z,defs $(call flags_of,release) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LDLIBS)

$(REL)/$(SONAME) $(REL)/libkv.so: $(REL)/libkv.so.$(VERSION)
	$(Q)ln -sf $(<F) $(REL)/$(SONAME) && ln -sf $(SONAME) $(REL)/libkv.so

# ---- dependencies -------------------------------------------------------------------------

.PHONY: deps deps-ci deps-bench
deps:  ## install what the library and its tests need; silent where all is there
	@CC='$(CC)' sh .ci/deps deps
deps-ci: $(filter deps,$(DEPS_GOALS))  ## ... what lint, the sanitizers and the fuzzers need
	@CC='$(CC)' sh .ci/deps deps-ci
deps-bench: $(filter deps deps-ci,$(DEPS_GOALS))  ## ... what the benchmark needs
	@CC='$(CC)' sh .ci/deps deps-bench

# ---- programs -----------------------------------------------------------------------------

# examples/demo.c and examples/demo_*.c make up one program.
EXAMPLE_MAIN = $(filter-out $(foreach e,$(EXAMPLE_SRC),$(wildcard $(e:.c=_*.c))),$(EXAMPLE_SRC))
EXAMPLES     = $(call programs,release,$(EXAMPLE_MAIN))
$(foreach e,$(EXAMPLE_MAIN),$(eval $(REL)/$(e:.c=): $(call objects,release,$(wildcard $(e:.c=_*.c)))))
$(EXAMPLES): %: %.o $(REL)/libkv.a
	$(call say,LINK,$@)$(CC) $(call flags_of,release) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	  $(REL)/libkv.a $(LDLIBS)

# bench/kv_ring.c is a program of its own, the rest one.
$(REL)/bench/kv_bench: $(call objects,release,$(filter-out bench/kv_ring.c,$(BENCH_SRC))) \
  $(REL)/libkv.a $(REL)/contents
	$(call say,LINK,$@)$(CC) $(call flags_of,release) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	  $(REL)/libkv.a $(LDLIBS) -lm

$(REL)/bench/kv_ring: $(REL)/bench/kv_ring.o $(REL)/libkv.a
	$(call say,LINK,$@)$(CC) $(call flags_of,release) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: examples demo bench bench-ring
examples: $(EXAMPLES)  ## the example programs

demo: $(REL)/examples/demo  ## load a real dataset and measure it; FILE= names another
	@$< $(if $(FILE),'$(FILE)')

bench: $(REL)/bench/kv_bench  ## measure; ARGS= goes to kv_bench
	@$< $(ARGS)

bench-ring: $(REL)/bench/kv_ring  ## how even rings are; draws bench/ring.svg
	@$< bench/ring.svg

# ---- tests --------------------------------------------------------------------------------

# Each program may take this long; a hang is a failure.
TEST_LIMIT_S = 900

ENV.asan = ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1 \
           UBSAN_OPTIONS=print_stacktrace=1 OPS=$(or $(OPS),400000) KILLS=$(or $(KILLS),20)
ENV.tsan = TSAN_OPTIONS=second_deadlock_stack=1 OPS=$(or $(OPS),300000) KILLS=$(or $(KILLS),10)
ENV.fuzz = $(ENV.asan)
# Leaks are LeakSanitizer's: here a forked child, which holds its parent's memory, would fail by them.
ENV.valgrind = KVT_WRAPPER='valgrind -q --error-exitcode=9 --child-silent-after-fork=yes \
               --leak-check=no'

# $1 profile, $2 programs. Criterion runs two tests at a time; where a program runs its tests one
# after the other, two programs do.
run_tests = @KVT_BIN_DIR='$(abspath $(BUILD)/$1/tests/integration)' $(ENV.$1) \
            sh tests/support/run.sh -t $(TEST_LIMIT_S) -a '-j2 $(ARGS)' $(if $(PLAIN.$1),-p) $2

.PHONY: test test-one asan tsan valgrind sim fuzz planted planted-sanitizers coverage
test: $(call test_programs,debug) $(call workers,debug)  ## unit, integration, simulator
	$(call run_tests,debug,$(call test_programs,debug))

test-one: $(BUILD)/$(PROFILE)/$(T) $(call workers,$(PROFILE))  ## T=tests/sim/x_test PROFILE= ARGS=
	$(call run_tests,$(PROFILE),$<)

asan: $(call test_programs,asan) $(call workers,asan)  ## the tests under ASan, UBSan, LeakSanitizer
	$(call run_tests,asan,$(call test_programs,asan))

# The simulator's tests have one thread: nothing for TSan to see.
threaded_tests = $(filter-out $(call programs,$1,$(SIMTEST_SRC)),$(call test_programs,$1))

tsan: $(call threaded_tests,tsan) $(call workers,tsan)  ## what has threads, under ThreadSanitizer
	$(call run_tests,tsan,$(call threaded_tests,tsan))

valgrind: $(if $(UNIT_SRC),$(BUILD)/valgrind/unit_tests)  ## the unit tests under valgrind
	$(call run_tests,valgrind,$^)

sim: $(call programs,debug,$(SIMTEST_SRC)) $(call workers,debug)  ## seeds and properties; SEEDS= SEED=
	$(call run_tests,debug,$(call programs,debug,$(SIMTEST_SRC)))

$(call programs,fuzz,$(FUZZ_SRC)): $(BUILD)/fuzz/libkvtest.a $(BUILD)/fuzz/libkvsim.a
	$(call say,LINK,$@)$(FUZZ_CC) $(call flags_of,fuzz) -fsanitize=fuzzer $(LDFLAGS) -o $@ \
	  $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

fuzz: $(call programs,fuzz,$(FUZZ_SRC))  ## the corpus, then SECONDS= (20) of search per target
	@$(ENV.fuzz) sh .ci/fuzz $(FUZZ_SECONDS) '$(BUILD)/fuzz' $^

# A patch in tests/planted is a bug that a check must catch.
planted: $(call test_programs,debug) $(call workers,debug)  ## every planted bug must be caught
	@CC='$(CC)' CFLAGS='$(CFLAGS)' BUILD='$(BUILD)' sh .ci/planted $(wildcard tests/planted/*.patch)

planted-sanitizers: $(BUILD)/asan/tests/planted/leak $(BUILD)/tsan/tests/planted/race
	@sh .ci/must-fail 'LeakSanitizer: detected memory leaks' $(BUILD)/asan/tests/planted/leak
	@sh .ci/must-fail 'ThreadSanitizer: data race' $(BUILD)/tsan/tests/planted/race

coverage: $(call test_programs,coverage) $(call workers,coverage)  ## line coverage by folder
	@find $(BUILD)/coverage -name '*.gcda' -delete
	$(call run_tests,coverage,$(call test_programs,coverage))
	@sh .ci/coverage '$(BUILD)/coverage'

# ---- lint ---------------------------------------------------------------------------------

LINT  = $(BUILD)/lint
STEPS = format warnings floors symbols header size man tidy

.PHONY: lint format check-all objects $(STEPS:%=lint-%) lint-analyzer lint-gcc lint-clang
lint: $(STEPS:%=lint-%)  ## format, warnings, floors, symbols, header, sizes, manual, clang-tidy
	@echo 'lint: all clean'

lint-format: | $(DEPS_GOALS)
	@clang-format --dry-run -Werror $(sort $(SOURCES) $(HEADERS))
	@echo 'lint: format ok'

# Everything, with both compilers; the objects serve lint-symbols too.
objects: all $(call objects,release,$(SOURCES))
# gcc finds some only when it optimizes, clang all of its own without.
LINT_OPT.gcc   = -g0
LINT_OPT.clang = -g0 -O0
lint-gcc lint-clang: lint-%: | $(DEPS_GOALS)
	+@$(MAKE) --no-print-directory BUILD=$(LINT)/$* CC=$* CFLAGS='$(LINT_OPT.$*)' WERROR=-Werror \
	  FUZZ_CC=clang objects
lint-warnings: lint-gcc lint-clang
	@echo 'lint: no warning from gcc and clang'

lint-floors: | $(DEPS_GOALS)
	@sh .ci/lint-floors

lint-symbols: lint-gcc
	@sh .ci/lint-symbols $(LINT)/gcc/release $(SONAME) \
	  $(patsubst %.c,$(LINT)/gcc/release/%.o,$(KV_SRC) $(SIM_SRC))

lint-header: | $(DEPS_GOALS)
	@sh .ci/lint-header $(VERSION) '$(FLAGS.lib)'

lint-size: | $(DEPS_GOALS)
	@sh .ci/lint-size $(sort $(SOURCES) $(HEADERS))

lint-man: | $(DEPS_GOALS)
	@$(if $(MAN),mandoc -T lint -W warning $(MAN))
	@echo 'lint: man pages ok'
	@sh .ci/lint-man
	@CC='$(CC)' sh tests/support/man_examples.sh

# One stamp a file, so that -j spreads them and a second run checks what changed.
TIDY  = $(patsubst %.c,$(LINT)/tidy/%.ok,$(KV_SRC) $(SIM_SRC))
$(TIDY): $(LINT)/tidy/%.ok: %.c .clang-tidy $(filter include/% lib/%,$(HEADERS)) | $(DEPS_GOALS)
	@mkdir -p $(@D)
	$(call say,TIDY,$<)clang-tidy --quiet $< -- $(FLAGS.$(firstword $(subst /, ,$<))) >$@.log 2>&1 || { cat $@.log; exit 1; }
	@touch $@
lint-tidy: $(TIDY)
	@echo 'lint: clang-tidy ok'

ANALYZE = $(patsubst %.c,$(LINT)/analyzer/%.o,$(KV_SRC))
$(ANALYZE): $(LINT)/analyzer/%.o: %.c $(filter include/% lib/%,$(HEADERS)) | $(DEPS_GOALS)
	@mkdir -p $(@D)
	$(call say,ANALYZE,$<)gcc $(FLAGS.$(firstword $(subst /, ,$<))) -O2 -fanalyzer -Werror -c -o $@ $<
lint-analyzer: $(ANALYZE)
	@echo 'lint: gcc -fanalyzer ok'

format:  ## lay the sources out by .clang-format
	@clang-format -i $(sort $(SOURCES) $(HEADERS))

check-all:  ## everything in full, with a table of what ran
	+@MAKE='$(MAKE)' BUILD='$(BUILD)' bash .ci/run --full

# ---- install ------------------------------------------------------------------------------

define KV_PC
prefix=$(PREFIX)
libdir=$(LIBDIR)
includedir=$(INCLUDEDIR)

Name: kv
Description: Key-value store in a library: LSM tree, crash-safe, embeddable
Version: $(VERSION)
Libs: -L$${libdir} -lkv
Libs.private: -lpthread
Requires.private: libzstd libxxhash
Cflags: -I$${includedir}
endef
export KV_PC

INSTALLED = $(LIBDIR)/libkv.a $(LIBDIR)/libkv.so.$(VERSION) $(LIBDIR)/$(SONAME) $(LIBDIR)/libkv.so \
            $(LIBDIR)/libkvsim.a $(LIBDIR)/pkgconfig/kv.pc $(INCLUDEDIR)/kv.h \
            $(INCLUDEDIR)/kv_sim.h \
            $(foreach m,$(MAN),$(MANDIR)/man$(subst .,,$(suffix $m))/$(notdir $m))

.PHONY: install uninstall dist clean help
install: all  ## headers, libraries, kv.pc, manual; honours DESTDIR PREFIX
	$(Q)$(INSTALL) -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)'
	$(Q)$(INSTALL) -m 644 include/kv.h include/kv_sim.h '$(DESTDIR)$(INCLUDEDIR)'
	$(Q)$(INSTALL) -m 644 $(REL)/libkv.a $(REL)/libkvsim.a '$(DESTDIR)$(LIBDIR)'
	$(Q)$(INSTALL) -m 755 $(REL)/libkv.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libkv.so.$(VERSION)'
	$(Q)ln -sf libkv.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	$(Q)ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libkv.so'
	$(Q)printf '%s\n' "$$KV_PC" >'$(DESTDIR)$(LIBDIR)/pkgconfig/kv.pc'
	$(Q)chmod 644 '$(DESTDIR)$(LIBDIR)/pkgconfig/kv.pc'
	$(Q)for page in $(MAN); do \
	  dir='$(DESTDIR)$(MANDIR)'/man$${page##*.}; \
	  $(INSTALL) -d "$$dir" && $(INSTALL) -m 644 "$$page" "$$dir/" || exit 1; done

uninstall:  ## remove what install put there
	$(Q)rm -f $(patsubst %,'$(DESTDIR)%',$(INSTALLED))

dist:  ## a tarball of HEAD
	$(Q)mkdir -p $(BUILD)
	$(Q)git archive --prefix=libkv-$(VERSION)/ HEAD | gzip -9n >$(BUILD)/libkv-$(VERSION).tar.gz
	@echo $(BUILD)/libkv-$(VERSION).tar.gz

clean:  ## remove all that was built
	$(Q)rm -rf $(BUILD)

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
