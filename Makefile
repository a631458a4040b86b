# One Makefile, no configure step. `make help` lists what there is.
#
#   V=release (default) | debug | asan | tsan     a variant; each has its own tree
#   W=1                                            warnings are errors (CI sets it)

V    ?= release
TOP  := out
O    := $(if $(filter release,$V),$(TOP),$(TOP)/$V)
CC   ?= cc
W    ?= $(if $(CI),1,)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
# `make Q=` shows whole commands.
Q    ?= @
say   = @printf '  %-6s %s\n' '$1' '$@'

# --- flags ----------------------------------------------------------------------------------

# Zero initialising is a feature, and texts are cut to their buffers on purpose.
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
        -Wvla -Wundef -Wwrite-strings -Wpointer-arith -Wformat=2 -Wimplicit-fallthrough \
        -Wno-missing-field-initializers -Wno-format-truncation $(if $W,-Werror)
BASE := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Isrc -Iinclude -g $(WARN) -MMD -MP
HARD := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection

CFLAGS_release := -O2 $(HARD)
CFLAGS_debug   := -O0
CFLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -fsanitize=thread
CFLAGS_HOST  := $(BASE) $(CFLAGS_$V) -fPIC -fvisibility=hidden $(CFLAGS)
LDFLAGS_HOST := $(filter -fsanitize=%,$(CFLAGS_$V)) -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS)

# The agent is PID 1 of the guest: one static file, the same in every variant.
CFLAGS_GUEST  := $(BASE) -O2 $(HARD) -fno-pie -ffunction-sections -fdata-sections -DBOXLITE_GUEST
LDFLAGS_GUEST := -static -no-pie -Wl,--gc-sections,-z,relro,-z,now,-z,norelro -s

# --- modules and programs -------------------------------------------------------------------

src  = $(wildcard src/$1/*.c)
objs = $(patsubst src/%.c,$O/obj/%.o,$(filter-out %/main.c,$(foreach m,$1,$(call src,$m))))

LIB_MODULES := base wire box lib
PROGRAMS    := boxlite boxlite-shim boxlite-image boxlite-vmm boxlite-net boxlite-copy
BINS        := $(PROGRAMS:%=$O/bin/%)
LIBS        := $O/lib/libboxlite.so $O/lib/libboxlite.a
GUEST       := $O/guest/vmlinux $O/guest/initramfs

.PHONY: all guest
all: $(BINS) $(LIBS) $(GUEST)
guest: $(GUEST)

$O/obj/%.o: src/%.c $O/flags-host
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_HOST) -c $< -o $@

$O/obj-guest/%.o: src/%.c $O/flags-guest
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_GUEST) -c $< -o $@

# A changed flag rebuilds; an unchanged one does not.
$O/flags-%: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS_HOST) $(LDFLAGS_HOST) $(CFLAGS_GUEST)' | cmp -s - $@ || \
	 echo '$(CC) $(CFLAGS_HOST) $(LDFLAGS_HOST) $(CFLAGS_GUEST)' > $@
.PRECIOUS: $O/flags-%
.PHONY: FORCE
FORCE:

define link
@mkdir -p $(@D)
$(call say,LINK)
endef
$O/lib/libboxlite.so: $(call objs,$(LIB_MODULES)) src/lib/libboxlite.map
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -shared -Wl,-soname,libboxlite.so.0 -Wl,--version-script=src/lib/libboxlite.map \
	  $(filter %.o,$^) -o $@.0 -lsqlite3 -ljansson
	$(Q)ln -sf libboxlite.so.0 $@

# One relocatable object with its internal names made local: an embedder's own
# function of the same name cannot collide with ours.
$O/lib/libboxlite.a: $(call objs,$(LIB_MODULES))
	$(link)
	$(Q)ld -r $^ -o $O/lib/libboxlite.o
	$(Q)objcopy --localize-hidden $O/lib/libboxlite.o
	$(Q)rm -f $@ && ar rcs $@ $O/lib/libboxlite.o && rm -f $O/lib/libboxlite.o

# $LIB is the loader's word for what the distribution calls it: lib64, lib/x86_64-linux-gnu.
$O/bin/boxlite: $(call objs,cli base) $O/obj/cli/main.o $O/lib/libboxlite.so
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $(filter %.o,$^) -o $@ -L$O/lib -lboxlite \
	  -Wl,-rpath,'$$ORIGIN/../lib:$$ORIGIN/../$$LIB' -ljansson

$O/obj/cli/completion.o: $(wildcard completions/*)

$O/bin/boxlite-shim: $(call objs,shim wire base) $O/obj/shim/main.o
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ -ljansson

$O/bin/boxlite-image: $(call objs,image wire base) $O/obj/image/main.o
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ -lcurl -larchive -lz -lzstd -lcrypto -ljansson

$O/bin/boxlite-vmm: $(call objs,vmm wire base) $O/obj/vmm/main.o
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ -ljansson

$O/bin/boxlite-net: $(call objs,net wire base) $O/obj/net/main.o
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ -lssl -lcrypto -lnghttp2 -ljansson

$O/bin/boxlite-copy: $(call objs,copy tar wire base) $O/obj/copy/main.o
	$(link)
	$(Q)$(CC) $(LDFLAGS_HOST) -pie $^ -o $@ -ljansson

# --- the guest ------------------------------------------------------------------------------

AGENT_OBJS := $(patsubst src/%.c,$O/obj-guest/%.o,$(foreach m,agent tar wire base,$(call src,$m)))

$O/guest/boxlite-agent: $(AGENT_OBJS)
	$(link)
	$(Q)$(CC) $(CFLAGS_GUEST) $(LDFLAGS_GUEST) $^ -o $@ -lmd -ljansson

$O/guest/initramfs: $O/guest/boxlite-agent scripts/mk-initramfs
	scripts/mk-initramfs $< $@

# The kernel has its own cache (see kernel/README.md): this is quick unless its config changed.
$O/guest/vmlinux: $(wildcard kernel/config/* kernel/patches/*) kernel/build
	$(link)
	kernel/build $@

# --- installing -----------------------------------------------------------------------------

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DO_INSTALL = O=$O DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' scripts/install
.PHONY: install uninstall
install: all
	$(DO_INSTALL)

uninstall:
	$(DO_INSTALL) --remove

# --- tests ----------------------------------------------------------------------------------

include tests/tests.mk

.PHONY: clean help
clean:
	rm -rf $(TOP)

help:
	@echo 'make            build everything into $(TOP)/ (programs, library, guest kernel and agent)'
	@echo 'make run        install what is missing, build, and run a command in a box'
	@echo 'make check      all tests; V=asan and V=tsan run them under a sanitizer'
	@echo 'make check-boxes ENGINE=kvm   box tests on one engine'
	@echo 'make check-lab  the same on a genuine KVM, which any machine can make (tests/lab/README.md)'
	@echo 'make soak       boxes by the thousand, and many at once: is anything left of them?'
	@echo 'make torture    each allocation of the library fails once, and each system call'
	@echo 'make bench      the figures of docs/performance.md'
	@echo 'make bench-kvm  those of engine kvm, in the lab: the same on every machine'
	@echo 'make fuzz T=image-tar SECS=60   one fuzz target (clang); `ls fuzz/fuzz-*.c` lists them'
	@echo 'make lint       include rules, banned functions'
	@echo 'make check-api  do header, library, manual, commands and completions say the same?'
	@echo 'make install DESTDIR= PREFIX=/usr/local LIBDIR=PREFIX/lib   and make uninstall with the same'

-include $(shell find $O/obj $O/obj-guest $O/obj-test -name '*.d' 2>/dev/null)
