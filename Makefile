# SPDX-License-Identifier: GPL-2.0-or-later
# "make help" lists the targets. Everything that is made goes below $(BUILD).
#
# Sources are found by wildcard: common/ and host/ become libraries, host/cli/main.c the program, agent/ the agent,
# tests/unit/test_X.c one test program each (linked with both libraries and, when the name begins with test_agent_, with
# the agent's), tests/fuzz/fuzz_X.c one fuzz target each, tests/functional/X.t TAP scripts.

.DEFAULT_GOAL := all
VERSION := 0.1.0
PREFIX ?= /usr/local
SAN ?=
J ?= $(shell nproc)
T ?= 60

TOP := build
BUILD := $(TOP)$(if $(SAN),/san)
CC ?= gcc
CFLAGS ?= -O2 -g

PKGS := libzstd libcrypto jansson libxxhash libseccomp blkid zlib
pkg = $(shell pkg-config $(1) $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wformat=2 -Wstrict-prototypes $(if $(CI),-Werror)
BASE := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -DPLUCK_VERSION='"$(VERSION)"' $(WARN)
HARDEN := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
comma := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
HOST_CFLAGS = $(BASE) $(HARDEN) $(SANFLAGS) -DPLUCK_PREFIX='"$(PREFIX)"' $(call pkg,--cflags) $(CFLAGS)
HOST_LDFLAGS = -pie -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS)
HOST_LIBS = $(call pkg,--libs) -lpthread
AGENT_CFLAGS = $(BASE) -fstack-protector-strong -ffunction-sections -fdata-sections -O2 -g
AGENT_LIBS = -lblkid -lxxhash -lntfs-3g -lz

common_src := $(wildcard common/*.c common/*/*.c)
host_src := $(filter-out host/cli/main.c,$(wildcard host/*.c host/*/*.c host/*/*/*.c))
agent_src := $(filter-out agent/main.c,$(wildcard agent/*.c))
unit := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
fuzz := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
bench := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
tap := $(wildcard tests/functional/*.t)
tap_long := $(wildcard tests/functional/long/*.t)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
aobj = $(patsubst %.c,$(TOP)/agent-obj/%.o,$(1))
objs := $(call obj,$(common_src) $(host_src) $(agent_src) host/cli/main.c $(wildcard tests/unit/*.c tests/fuzz/*.c tests/bench/*.c tests/lib/*.c)) \
	$(call aobj,$(common_src) $(agent_src) agent/main.c)
fuzz_objs = $(call fobj,$(common_src) $(host_src) $(agent_src) $(wildcard tests/fuzz/fuzz_*.c))

## all: build the program, the agent and the VM's images (the default; installs nothing)
all: $(BUILD)/pluck $(BUILD)/pluck-agent $(BUILD)/pluck.1 images

## programs: the program and the agent alone
programs: $(BUILD)/pluck $(BUILD)/pluck-agent

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(TOP)/agent-obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(AGENT_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/libcommon.a: $(call obj,$(common_src))
$(BUILD)/libhost.a: $(call obj,$(host_src))
$(BUILD)/libagent.a: $(call obj,$(agent_src))
$(BUILD)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/pluck: $(call obj,host/cli/main.c) $(BUILD)/libhost.a $(BUILD)/libcommon.a
	$(CC) $(HOST_LDFLAGS) $^ -o $@ $(HOST_LIBS)

$(TOP)/pluck-agent: $(call aobj,agent/main.c $(agent_src) $(common_src))
	$(CC) -static -Wl,--gc-sections $^ -o $@.dbg $(AGENT_LIBS)
	strip -s -o $@ $@.dbg
	@echo "$@: $$(stat -c %s $@) bytes"
ifneq ($(SAN),)
$(BUILD)/pluck-agent: $(TOP)/pluck-agent
	cp $< $@
endif

$(BUILD)/pluck.1: docs/pluck.1 scripts/man.sh $(BUILD)/pluck
	scripts/man.sh $(BUILD)/pluck >$@.new
	mv $@.new $@

## images: kernel, initramfs and tools image of the micro-VM
images: $(BUILD)/vmlinux $(BUILD)/initramfs.cpio $(BUILD)/tools.img

$(BUILD)/vmlinux: $(wildcard kernel-config/*.config kernel-config/*.sh kernel-config/*.patch)
	@mkdir -p $(@D)
	kernel-config/build.sh $(@D)

$(BUILD)/initramfs.cpio: $(BUILD)/pluck-agent $(wildcard initramfs/*)
	initramfs/build.sh $@ $<

$(BUILD)/tools.img: $(wildcard initramfs/*)
	@mkdir -p $(@D)
	initramfs/tools.sh $@

$(BUILD)/unit/test_agent_%: $(BUILD)/obj/tests/unit/test_agent_%.o $(BUILD)/libagent.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(HOST_LDFLAGS) $^ -o $@ -lcmocka $(AGENT_LIBS) $(HOST_LIBS)

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libhost.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(HOST_LDFLAGS) $^ -o $@ -lcmocka $(HOST_LIBS)

$(BUILD)/fuzz/replay_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libhost.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(HOST_LDFLAGS) $^ -o $@ $(HOST_LIBS)

$(BUILD)/fuzz/replay_agent_%: $(BUILD)/obj/tests/fuzz/fuzz_agent_%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libagent.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(HOST_LDFLAGS) $^ -o $@ $(AGENT_LIBS) $(HOST_LIBS)

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/libhost.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(HOST_LDFLAGS) $^ -o $@ $(HOST_LIBS)

# clang's own objects: with the fuzzer's counters in them
FUZZ_CFLAGS = $(BASE) -DPLUCK_PREFIX='"$(PREFIX)"' $(call pkg,--cflags) -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
fobj = $(patsubst %.c,$(TOP)/fuzz/obj/%.o,$(1))

$(TOP)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(TOP)/fuzz/lib.a: $(call fobj,$(common_src) $(host_src))
	@rm -f $@
	$(AR) rcs $@ $^

$(TOP)/fuzz/agent.a: $(call fobj,$(common_src) $(agent_src))
	@rm -f $@
	$(AR) rcs $@ $^

$(TOP)/fuzz/fuzz_agent_%: $(TOP)/fuzz/obj/tests/fuzz/fuzz_agent_%.o $(TOP)/fuzz/agent.a
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer $^ -o $@ $(AGENT_LIBS) $(HOST_LIBS)

$(TOP)/fuzz/fuzz_%: $(TOP)/fuzz/obj/tests/fuzz/fuzz_%.o $(TOP)/fuzz/lib.a
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer $^ -o $@ $(HOST_LIBS)

## unit: unit tests and fuzz replay, without a VM
unit: $(addprefix $(BUILD)/unit/,$(unit)) $(patsubst fuzz_%,$(BUILD)/fuzz/replay_%,$(fuzz))
	tests/run-unit.sh $(BUILD)

## functional: the TAP scripts with real VMs (TESTS="a.t b.t" for some)
functional: all
	PLUCK=$(abspath $(BUILD)/pluck) BUILD=$(abspath $(BUILD)) prove --timer $(or $(TESTS),$(tap))

## check: install what is missing, build, run all tests [SAN=1 with address and undefined behaviour sanitizers]
check:
	scripts/deps.sh --install build run test
	$(MAKE) -j$(J) all
	$(MAKE) -j$(J) unit
	$(MAKE) lint
	$(MAKE) functional

## check-long: the tests that take longer than half an hour
check-long: all
	PLUCK=$(abspath $(BUILD)/pluck) BUILD=$(abspath $(BUILD)) prove --timer $(tap_long)

## demo: install what is missing, build, restore a file out of a VM image backup, step by step
demo:
	scripts/deps.sh --install build run test
	$(MAKE) -j$(J) all
	scripts/demo.sh $(BUILD)

## lint: cheap checks of form and structure
lint:
	tests/lint/run.sh

## bench: compare with peers on the same work in one run
bench:
	scripts/deps.sh --install build run test bench
	$(MAKE) -j$(J) all $(addprefix $(BUILD)/bench/,$(bench))
	tests/bench/run.sh $(BUILD)

## fuzz: run every fuzz target for T seconds (60) with libFuzzer
fuzz:
	scripts/deps.sh --install build fuzz
	$(MAKE) -j$(J) $(addprefix $(TOP)/fuzz/,$(fuzz))
	set -e; for f in $(fuzz); do n=$${f#fuzz_}; mkdir -p $(TOP)/fuzz/new/$$n; \
	$(TOP)/fuzz/$$f -max_total_time=$(T) -timeout=10 -rss_limit_mb=2048 \
	-artifact_prefix=$(TOP)/fuzz/$$f- $(TOP)/fuzz/new/$$n tests/fuzz/corpus/$$n; done

## install: install below DESTDIR and PREFIX (/usr/local)
install: all install-docs
	install -Dm755 $(BUILD)/pluck $(DESTDIR)$(PREFIX)/bin/pluck
	install -Dm644 -t $(DESTDIR)$(PREFIX)/lib/pluck $(BUILD)/vmlinux $(BUILD)/initramfs.cpio $(BUILD)/tools.img

## install-docs: of these the manual page and the completions alone
install-docs: $(BUILD)/pluck.1
	install -Dm644 $< $(DESTDIR)$(PREFIX)/share/man/man1/pluck.1
	install -Dm644 docs/completion/pluck.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/pluck
	install -Dm644 docs/completion/_pluck $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_pluck

## clean: remove what was built (the kernel stays in the cache)
clean:
	rm -rf $(TOP)

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

.PHONY: all programs images unit functional check check-long demo lint bench fuzz install install-docs clean help
.SECONDARY:
-include $(objs:.o=.d)
-include $(fuzz_objs:.o=.d)
