# df2redis: replicates a live Dragonfly into Redis or Valkey.
#
#   make            build/df2redis and build/df2redis-worker
#   make demo       the main job, visibly; installs what is missing (as root) or says how
#   make check      lint and all tests
#   make bench      ratios against a raw pipe of the same commands
#   make help       the rest
#
# Variables: CC, CFLAGS, LDFLAGS, B (where to build), SANITIZE (address,undefined), V=1 (show commands),
# WERROR=1 (a warning is an error).

B ?= build
CC ?= cc
CFLAGS ?= -O2 -g
SANITIZE ?=

PACKAGES = libevent_core libevent_extra hiredis libcjson liblz4 libzstd openssl inih
WERROR ?=
WARNINGS = -Wall -Wextra -Wshadow -Wconversion
WARNINGS += $(if $(filter-out 0,$(WERROR)),-Werror)
DEFINES = -std=c11 -pthread -D_GNU_SOURCE -I. -DDF2REDIS_BUILD_DIR='"$(B)"'
HARDEN = -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
ifneq ($(SANITIZE),)
HARDEN = -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
# Not -I: what their headers are warned of is not ours.
PKG_CFLAGS = $(patsubst -I%,-isystem%,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -llzf -lm
V ?= 0
QUIET = $(if $(filter 0,$(V)),@echo '  $(1)  $@';)
COMPILE = $(call QUIET,CC  )$(CC) $(DEFINES) $(WARNINGS) $(HARDEN) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c
LINK = $(call QUIET,LINK)$(CC) -pthread $(HARDEN) $(CFLAGS) $(LDFLAGS)

objects = $(patsubst %.c,$(B)/%.o,$(1))
sources = $(sort $(shell find $(1) -name '*.c'))
COMMON = $(call objects,$(call sources,common))
WORKER = $(call objects,$(filter-out worker/main.c,$(call sources,worker)))
SUPERVISOR = $(call objects,$(filter-out supervisor/main.c,$(call sources,supervisor)))
SUPPORT = $(call objects,$(filter-out $(wildcard tests/support/main_*.c),$(sort $(wildcard tests/support/*.c))))

PROGRAMS = $(B)/df2redis $(B)/df2redis-worker
HELPERS = $(patsubst tests/support/main_%.c,$(B)/tests/%,$(wildcard tests/support/main_*.c))
unit_programs = $(patsubst %.c,$(B)/%,$(sort $(shell find tests/unit/$(1) -name 'test_*.c')))
UNIT_COMMON = $(call unit_programs,common)
UNIT_SUPERVISOR = $(call unit_programs,supervisor)
UNIT_WORKER = $(call unit_programs,worker)
UNIT = $(UNIT_COMMON) $(UNIT_SUPERVISOR) $(UNIT_WORKER)
INTEGRATION = $(patsubst tests/integration/%.c,$(B)/tests/integration/%,$(sort $(wildcard tests/integration/test_*.c)))
# Started before all others, so that none of them runs alone at the end: those that take longest.
LONGEST = $(B)/tests/integration/test_cluster_% $(B)/tests/integration/test_heal% %/test_recordings %/test_decoder_recordings
LONGEST += $(B)/tests/integration/test_verify% $(addprefix %/test_,demo expiry source_history spool_faults spool_full target_faults)
longest_first = $(filter $(LONGEST),$(1)) $(filter-out $(LONGEST),$(1))
FUZZERS = $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SECONDS ?= 60

TEST_LIBS = -lcmocka $(LIBS)

all: $(PROGRAMS)

$(B)/df2redis: $(B)/supervisor/main.o $(SUPERVISOR) $(COMMON)
	$(LINK) -pie -o $@ $^ $(LIBS)

$(B)/df2redis-worker: $(B)/worker/main.o $(WORKER) $(COMMON)
	$(LINK) -pie -o $@ $^ $(LIBS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $<

$(B)/supervisor/observe/http_page.o: supervisor/observe/http_page.html

# A unit test is linked with the part whose folders it mirrors.
$(UNIT_COMMON): %: %.o $(COMMON)
$(UNIT_SUPERVISOR): %: %.o $(SUPERVISOR) $(COMMON)
$(UNIT_WORKER): %: %.o $(WORKER) $(COMMON)
$(UNIT):
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(TEST_LIBS)

$(B)/tests/integration/test_%: $(B)/tests/integration/test_%.o $(SUPPORT) $(WORKER) $(COMMON)
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(TEST_LIBS)

$(B)/tests/run-%: $(SUPPORT) $(COMMON)
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(TEST_LIBS)
$(B)/tests/run-bench: $(call objects,$(wildcard tests/bench/*.c))
$(B)/tests/run-soak: $(call objects,$(wildcard tests/soak/*.c)) | $(B)/tests/wrong_clock.so

$(B)/tests/integration/test_findings_rights: | $(B)/tests/modules.so
$(B)/tests/integration/test_target_clock: | $(B)/tests/wrong_clock.so

$(B)/tests/%.so: tests/preload/%.c
	@mkdir -p $(@D)
	$(call QUIET,CC  )$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) -fPIC -shared -o $@ $<

$(HELPERS): $(B)/tests/%: $(B)/tests/support/main_%.o $(SUPPORT) $(COMMON)
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(TEST_LIBS)

# ---- tests ----

integration-programs: $(PROGRAMS) $(HELPERS) $(INTEGRATION)

unit-programs: $(UNIT)

test-programs: $(PROGRAMS) $(HELPERS) $(UNIT) $(INTEGRATION)

unit: $(UNIT)
	tests/run $(UNIT)

integration: $(PROGRAMS) $(HELPERS) $(INTEGRATION)
	tests/run $(call longest_first,$(INTEGRATION))

# Everything with AddressSanitizer and UndefinedBehaviorSanitizer: the units by both compilers, and whole runs.
GCC_SANITIZED = $(MAKE) B=$(B)/gcc-sanitized CC=gcc SANITIZE=address,undefined CFLAGS='-O1 -g'
CLANG_SANITIZED = $(MAKE) B=$(B)/clang-sanitized CC=clang SANITIZE=address,undefined CFLAGS='-O1 -g'

SANITIZED = $(addprefix $(B)/tests/integration/test_,recordings session global tls)
SANITIZED += $(UNIT:$(B)/%=$(B)/gcc-sanitized/%) $(UNIT:$(B)/%=$(B)/clang-sanitized/%)

sanitized-programs:
	+$(GCC_SANITIZED) unit-programs
	+$(CLANG_SANITIZED) all unit-programs

sanitized: integration-programs sanitized-programs
	DF2REDIS_TEST_BINARY=$(B)/clang-sanitized/df2redis tests/run $(call longest_first,$(SANITIZED))

FUZZ_SOURCES = $(filter-out worker/main.c,$(call sources,worker)) $(call sources,common)
FUZZ_OBJECTS = $(patsubst %.c,$(B)/fuzz/%.o,$(FUZZ_SOURCES))
$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call QUIET,CC  )clang $(DEFINES) $(PKG_CFLAGS) -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -MMD -MP -c -o $@ $<
$(B)/fuzz/fuzz_%: $(B)/fuzz/tests/fuzz/fuzz_%.o $(FUZZ_OBJECTS)
	$(call QUIET,LINK)clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

fuzzers: $(patsubst %,$(B)/fuzz/fuzz_%,$(FUZZERS))

fuzz: fuzzers
	tests/fuzz/run $(B) $(FUZZ_SECONDS) $(FUZZERS)

# As many compilers as there are processors, unless make was told how many.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

# The fuzzers, and building what is sanitized, take what the tests leave of the processors.
CHECK_FUZZ_SECONDS ?= 30
beside-tests:
	$(MAKE) fuzz FUZZ_SECONDS=$(CHECK_FUZZ_SECONDS)
	$(MAKE) sanitized-programs

check: deps
	$(MAKE) $(JOBS) all test-programs fuzzers
	$(MAKE) lint
	@nice -n 19 $(MAKE) $(JOBS) beside-tests >$(B)/beside.log 2>&1 & beside=$$!; \
	tests/run $(call longest_first,$(INTEGRATION) $(UNIT)); tests=$$?; \
	wait $$beside; beside=$$?; grep '^fuzz_' $(B)/beside.log; \
	[ $$beside -eq 0 ] || tail -n 60 $(B)/beside.log; \
	[ $$tests -eq 0 ] && [ $$beside -eq 0 ]
	$(MAKE) $(JOBS) sanitized
	@echo 'All tests passed.'

bench: deps
	$(MAKE) all $(B)/tests/run-bench
	$(B)/tests/run-bench

# Of a CPU time of a third of a second, counted in hundredths, the median of five rounds is not steady.
bench-cluster: deps
	$(MAKE) all $(B)/tests/run-bench
	DF2REDIS_BENCH_ROUNDS=$${DF2REDIS_BENCH_ROUNDS:-11} $(B)/tests/run-bench cluster

MINUTES ?= 10
SEED ?=
soak: deps
	$(MAKE) all $(B)/tests/run-soak
	$(B)/tests/run-soak $(MINUTES) $(SEED)

soak-cluster: deps
	$(MAKE) all $(B)/tests/run-soak
	$(B)/tests/run-soak $(MINUTES) '$(SEED)' cluster

demo: deps
	$(MAKE) all $(HELPERS)
	tests/demo $(B)

deps:
	@packaging/dependencies

# Includes, circles between files and folders, format, spelling, manuals: tests/lint/run says more.
lint: lint-deps all
	tests/lint/run $(B) layers circles invariants format spelling manuals

# Slower, and not part of check. What the analyzers may say is explained in tests/lint/.
analyze: lint-deps
	tests/lint/run $(B) cppcheck
	printf '%s\n' $(sort $(call sources,common supervisor worker)) | xargs -P $(shell nproc) -n 8 clang --analyze --analyzer-output text -Xclang -analyzer-werror $(DEFINES) $(PKG_CFLAGS)

lint-deps:
	@packaging/dependencies lint

# The page that is printed from the tables; test_commands_manual tells when it is out of date.
manual: $(B)/tests/unit/worker/translate/test_commands_manual
	$< write

format:
	$$(command -v clang-format-14 || echo clang-format) -i $$(git ls-files '*.c' '*.h')

# For editors and clang tools. What would be compiled is asked of make itself.
compdb:
	@$(MAKE) --no-print-directory -Bn V=1 all test-programs | awk -v directory='$(CURDIR)' -f tests/compdb.awk >compile_commands.json

clean:
	rm -rf $(B)

help:
	@sed -n '2,11s/^# \{0,1\}//p' Makefile
	@echo '  make unit, integration, sanitized, fuzz   the parts of check'
	@echo '  make bench-cluster                        ratios against raw pipes into a cluster of three masters'
	@echo '  make soak MINUTES=n SEED=s                random faults under load, then a comparison'
	@echo '  make soak-cluster MINUTES=n SEED=s        the same into a cluster of three masters'
	@echo '  make install, uninstall, deb, rpm, dist   packages: see packaging/'
	@echo '  make check-packages                       the built packages in a clean chroot'
	@echo '  make manual                               man/df2redis-commands.7, from the tables'
	@echo '  make compdb                               compile_commands.json, for editors and clang tools'
	@echo '  make lint                                 folders, circles, format, spelling, manuals'
	@echo '  make analyze                              cppcheck and clang --analyze'
	@echo '  make clean, format'

# ---- install, uninstall, dist, deb, rpm, check-packages ----
include packaging/package.mk

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: all manual unit-programs test-programs integration-programs unit integration sanitized-programs sanitized beside-tests fuzzers fuzz check bench bench-cluster soak soak-cluster demo deps lint lint-deps analyze format compdb clean help
.SECONDARY:
