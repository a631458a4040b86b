# Tests. A unit test tests/unit/t-<module>-<topic>.c is linked with its module
# (all but main.c), wire and base. Box tests are scripts tests/box/*.t. All of
# them speak TAP; prove runs them and prints the totals.

UNIT_SRC  := $(wildcard tests/unit/t-*.c)
UNIT_BINS := $(patsubst tests/unit/%.c,$O/tests/%,$(UNIT_SRC))
FUZZ_SRC  := $(wildcard fuzz/fuzz-*.c)
REPLAY    := $(patsubst fuzz/%.c,$O/tests/%,$(FUZZ_SRC))

LINK_image := -lcurl -larchive -lz -lzstd -lcrypto
LINK_box   := -lsqlite3
LINK_agent := -lmd
LINK_net   := -lssl -lcrypto -lnghttp2
# Which module a test of this name belongs to: t-image-tar -> image, fuzz-wire -> wire.
module_of = $(word 2,$(subst -, ,$1))

# What of the command line has unit tests stands by itself: the rest needs its main.c.
test_objs_cli := $O/obj/cli/template.o
# Modules that a module is linked with.
MODULES_agent := tar

test_deps = $(sort $(or $(test_objs_$(call module_of,$1)),$(call objs,$(call module_of,$1))) \
  $(call objs,$(MODULES_$(call module_of,$1)) wire base))

$O/obj-test/%.o: tests/unit/%.c $O/flags-host
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_HOST) -Itests -c $< -o $@

$O/obj-test/%.o: fuzz/%.c $O/flags-host
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_HOST) -Ifuzz -c $< -o $@

.SECONDEXPANSION:
$(UNIT_BINS): $O/tests/%: $O/obj-test/%.o $$(call test_deps,$$*)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ $(LINK_$(call module_of,$*)) -ljansson

# Without a fuzzer: the target with a driver that replays a corpus.
$(REPLAY): $O/tests/%: $O/obj-test/%.o $O/obj-test/replay.o $$(call test_deps,$$*)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ $(LINK_$(call module_of,$*)) -ljansson

# A tool to look at a machine of the kvm engine, for tests/lab/run.
$O/obj-test/vmm-%.o: tests/vmm/%.c $O/flags-host
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_HOST) -c $< -o $@

$O/tests/vmm-boot: $O/obj-test/vmm-boot.o $(call objs,vmm wire base)
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ -ljansson

# Runs a program behind boxlite-net without a machine, see there.
$O/obj-test/net-tap.o: tests/net/net-tap.c $O/flags-host
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_HOST) -c $< -o $@

$O/tests/net-tap: $O/obj-test/net-tap.o $(call objs,wire base)
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ -ljansson

# The guest of tests/vmm: /init of its machines, and a program of this host that knows what it does to a disk.
VMM_GUEST := $(patsubst tests/vmm/%.c,$O/obj-guest/vmm-%.o,$(wildcard tests/vmm/guest*.c))

$O/obj-guest/vmm-%.o: tests/vmm/%.c $O/flags-guest
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_GUEST) -c $< -o $@

$O/tests/vmm-guest: $(VMM_GUEST)
	$(link)
	$(Q)$(CC) $(CFLAGS_GUEST) $(LDFLAGS_GUEST) $^ -o $@

$O/tests/vmm-initramfs: $O/tests/vmm-guest scripts/mk-initramfs
	scripts/mk-initramfs $< $@

.PHONY: check check-unit check-boxes check-lab check-api soak torture lint unit-bins fuzz bench bench-kvm run deps
unit-bins: $(UNIT_BINS) $(REPLAY) $O/tests/vmm-boot $O/tests/vmm-initramfs $O/tests/net-tap

check: deps
	+$(MAKE) --no-print-directory -j$$(nproc) V=$V lint check-api all unit-bins
	O=$O V=$V tests/run

check-unit: unit-bins
	O=$O V=$V tests/run unit

# ENGINE=kvm or qemu: the boxes are of that engine; without it, of what works here.
check-boxes: all
	BOXLITE_ENGINE=$(ENGINE) O=$O V=$V tests/run box

# On a host with a genuine KVM, which any machine can be: machines of boxlite-vmm by themselves, and boxes. Such a host
# has one CPU: with two, TCG runs an int3 that is gone (tests/lab/README.md) in guests of several CPUs, too; and it is
# slower. So there are several of them, as many at once as this machine has CPUs; each one's output comes at its end.
LAB := tests/lab/run --cpus 1 --memory 6144 --time 3000
LAB_BOXES := lab-boxes-1/2 lab-boxes-2/2
# What does not know which engine it is (that of hostile is a script): minutes there. make check-lab LAB_SKIP= runs them.
LAB_SKIP ?= net-hostile net-world net-secret net-clients hostile
.PHONY: lab-vmm $(LAB_BOXES)
check-lab: deps all unit-bins
	O=$O V=$V tests/run lab
	[ "$$(id -u)" != 0 ] || bash -c '. tests/lib/minbase.sh && minbase_tar > /dev/null' # the lab has no network
	+$(MAKE) --no-print-directory -j$$(nproc) --output-sync=target V=$V $(LAB_BOXES) lab-vmm

lab-vmm:
	O=$O V=$V $(LAB) tests/run vmm

$(LAB_BOXES):
	IN_LAB=1 PART=$(@:lab-boxes-%=%) SKIP='$(LAB_SKIP)' MAKEFLAGS= TORTURE_EVERY=120 $(LAB) $(MAKE) --no-print-directory check-boxes ENGINE=kvm V=$V W=$W

# The long form of tests/soak: an hour or so.
soak: all
	O=$O V=$V SOAK_CYCLES=$(or $(SOAK_CYCLES),1000) SOAK_BOXES=$(or $(SOAK_BOXES),24) \
	  SOAK_EXECS=$(or $(SOAK_EXECS),10000) TEST_TIMEOUT=7200 tests/run soak

# Each allocation that the library makes fails once, and once with all behind it; and each system call, with each of its
# errors: half an hour or so.
torture: all
	O=$O V=$V TOP=$(CURDIR) TORTURE_EVERY=1 TEST_TIMEOUT=7200 prove --timer --exec tests/one tests/box/torture.t \
	  tests/box/torture-calls.t

deps:
	@scripts/install-deps test

lint:
	scripts/check-layers
	scripts/check-style

# As in tests/run, what the run time of a sanitizer wants of who starts its programs.
check-api: $O/bin/boxlite $O/lib/libboxlite.so
	O=$O $(if $(filter tsan,$V),$$(setarch -R true && echo setarch -R)) scripts/check-api

# libFuzzer, in clang's own tree: make fuzz T=wire-frame SECS=60
FUZZ_FLAGS := $(BASE) -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
fuzz:
	@scripts/install-deps fuzz
	@mkdir -p $(TOP)/fuzz fuzz/corpus/$T
	clang $(FUZZ_FLAGS) -Wno-unknown-warning-option -MF /dev/null -Ifuzz fuzz/fuzz-$T.c \
	  $(filter-out %/main.c,$(sort $(foreach m,$(call module_of,fuzz-$T) $(MODULES_$(call module_of,fuzz-$T)) wire base,$(call src,$m)))) \
	  -o $(TOP)/fuzz/fuzz-$T $(LINK_$(call module_of,fuzz-$T)) -ljansson
	@mkdir -p $(TOP)/fuzz/new-$T
	$(TOP)/fuzz/fuzz-$T -max_total_time=$(or $(SECS),60) -max_len=$(or $(MAX),65536) $(TOP)/fuzz/new-$T fuzz/corpus/$T

bench-kvm: deps all
	O=$O bench/kvm

bench: deps all
	O=$O bench/run

run:
	@scripts/install-deps build
	+$(MAKE) --no-print-directory -j$$(nproc) all
	O=$O scripts/first-run

# Static: it runs in boxes, too.
$O/bench/net-load: bench/net-load.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -O2 $(WARN) -D_GNU_SOURCE -static $< -o $@

bench-net: deps all $O/bench/net-load
	O=$O bench/net
.PHONY: bench-net
