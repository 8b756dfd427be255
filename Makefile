# SPDX-License-Identifier: MIT
# make demo and make test set up whatever is missing; a second run finds it done.

CLANG ?= clang
NODE := $(shell command -v node)
BIN := node_modules/.bin
# Every process of Node reads the certificates that this names, for 70 ms where there are many: only npm needs them.
export VNET_BPF_CERTIFICATES := $(or $(NODE_EXTRA_CA_CERTS),$(VNET_BPF_CERTIFICATES))
unexport NODE_EXTRA_CA_CERTS
MULTIARCH := $(shell uname -m)-linux-gnu
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -ffile-prefix-map="$(CURDIR)"=vnet-bpf -I/usr/include/$(MULTIARCH)
PREFIX ?= /usr/local

# Debian packages: to build and run, and those that only tests use.
PACKAGES := clang libbpf-dev libbpf1 iproute2 iputils-ping util-linux mount
TEST_PACKAGES := $(PACKAGES) iperf3 tcpdump ethtool tcpreplay procps kmod dnsutils tmux curl lintian tshark? bpftool? zsh? fish? groff-base? openssl ngtcp2-client?
BENCH_PACKAGES := $(TEST_PACKAGES) gcc libc6-dev
SELFTEST_PACKAGES := $(BENCH_PACKAGES) bash libssl-dev xz-utils debian-archive-keyring
PLAYWRIGHT_PACKAGES := $(TEST_PACKAGES) chromium
VM_PACKAGES := $(TEST_PACKAGES) qemu-system-x86 busybox-static bash xz-utils libc6-dev debian-archive-keyring
# SETUP=no: take the machine as it is.
SETUP ?= yes

BPF_OBJECT := dist/bpf/vnet.bpf.o
# What the programs share with TypeScript, made of the object's BTF. Checked in: it is read in reviews.
LAYOUT := src/layout.generated.ts
EXAMPLES_GENERATED := $(patsubst src/libbpf-ts/examples/%.generated.ts,%,$(wildcard src/libbpf-ts/examples/*.generated.ts))
LAYOUT_BUILT := dist/.layout
LIBBPF_BUILT := src/libbpf-ts/dist/.built
BUILT := dist/.built
# Help where shells and man look for it.
HELP := dist/man/vnet-bpf.1 dist/completion/vnet-bpf.bash dist/completion/vnet-bpf.zsh dist/completion/vnet-bpf.fish
TESTS_BUILT := dist-test/.built
TAP_BUILT := dist-test/.tap-built
# What the benchmark compares with, and its senders and receivers.
BENCH_PROGRAMS := $(patsubst test/bench/c/%.c,dist-test/bench/%,$(filter-out %.bpf.c,$(wildcard test/bench/c/*.c)))
BENCH_BUILT := $(BENCH_PROGRAMS) dist-test/bench/redirect.bpf.o
# Compiled because ts-node takes more than a second of each test file, and of each sender that a test starts; without type
# checks, which are lint's.
TEST_SOURCES := $(shell find test/unit test/kernel test/report test/bench test/helpers test/model test/pictures test/playwright src/libbpf-ts/test -name '*.ts') \
	$(wildcard src/libbpf-ts/test/bpf/*)
# The page of `vnet-bpf web`, for a browser: it has no part in what Node runs.
PAGE := $(shell find src/web/page -type f)
SOURCES := $(shell find src -name '*.ts' -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/test/*')

.DEFAULT_GOAL := help
.PHONY: docs help demo demo-vm test test-long test-unit test-kernel test-beside-others test-vm fetch-vm test-vm-dummy test-vm-systemd test-vm-self test-vm-table test-vm-features test-selftests test-corpus test-playwright pictures soak bench bench-quick examples lint lint-style lint-layout lint-c lint-texts format build compile compile-tests compile-bench clean pack deb install uninstall setup setup-test setup-bench setup-vm setup-selftests setup-playwright setup-build
.DELETE_ON_ERROR:

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

demo: setup ## show the loop at work in a throwaway network namespace
	@$(MAKE) --no-print-directory compile
	@src/setup/as-root.sh "$(NODE)" dist/cli/main.js demo

test: setup-test ## run the tests of all that is promised; without root the kernel tests skip
	@$(MAKE) --no-print-directory compile-tests
	@$(NODE) -r ts-node/register/transpile-only test/run-tests.ts unit kernel kernel-alone

test-long: setup-test ## run those that take long: load, abuse, crashes, installing
	@$(MAKE) --no-print-directory compile-tests
	@$(NODE) -r ts-node/register/transpile-only test/run-tests.ts kernel-long

test-unit: setup-build ## run the tests of pure logic
	@$(MAKE) --no-print-directory compile-tests
	@$(NODE) -r ts-node/register/transpile-only test/run-tests.ts unit

test-kernel: setup-test ## run the tests that need root, in throwaway network namespaces
	@$(MAKE) --no-print-directory compile-tests
	@$(NODE) -r ts-node/register/transpile-only test/run-tests.ts kernel kernel-long kernel-alone

test-beside-others: setup-test ## run the tests while another process makes and deletes namespaces, interfaces, rules and pins
	@$(MAKE) --no-print-directory compile-tests
	@$(NODE) -r ts-node/register/transpile-only test/soak/beside-others.ts unit kernel kernel-alone

VM := $(NODE) -r ts-node/register/transpile-only test/vm/run.ts

test-vm: setup-vm ## run the matrix of kernels under qemu, without root; KERNEL=6.1 for one
	@$(MAKE) --no-print-directory compile-tests
	@$(VM) $(if $(KERNEL),--kernel $(KERNEL)) $(VM_ARGS)

fetch-vm: setup-vm node_modules/.package-lock.json ## fetch the kernels of the matrix, so that it runs offline
	@$(VM) --fetch

test-vm-dummy: setup-vm ## run the traffic tests on a dummy, under qemu; 10 minutes
	@$(MAKE) --no-print-directory compile-tests
	@$(VM) --set dummy --kernel $(or $(KERNEL),6.18) $(VM_ARGS)

test-vm-systemd: setup-vm ## run the unit under a real systemd, the host's own, in a guest
	@$(MAKE) --no-print-directory compile-tests
	@$(VM) --set systemd --kernel $(or $(KERNEL),6.1) $(VM_ARGS)

test-vm-self: setup-vm ## prove that each way in which a kernel can fail is noticed
	@$(MAKE) --no-print-directory compile-tests
	@$(BIN)/tap run --jobs=1 --timeout=900 --reporter=tap test/vm/self/*.test.ts

test-vm-table: setup-vm ## run the matrix and write its results into docs/kernels.md
	@$(MAKE) --no-print-directory compile-tests
	@$(VM) --table docs/kernels.md $(VM_ARGS)

test-vm-features: setup-vm ## run the kinds of attachments and maps and the examples of libbpf-ts on all kernels and write what each can do into its README; 15 minutes
	@$(MAKE) --no-print-directory compile-tests
	@$(VM) --all --set full --match 'kernel-(attach-kinds|map-kinds|examples)' $(VM_ARGS) | tee /dev/stderr | \
		$(NODE) -r ts-node/register/transpile-only test/vm/feature-table.ts src/libbpf-ts/README.md

test-selftests: setup-selftests ## run the kernel's own selftests on vnet0, beside a veth; fetches their source (150 MB); as root, 5 minutes
	@$(MAKE) --no-print-directory compile
	@$(NODE) -r ts-node/register/transpile-only test/selftests/run.ts $(SELFTEST_ARGS)

test-corpus: setup-bench ## load other people's BPF objects with libbpf-ts and with libbpf in C; fetches them (150 MB); as root, 10 minutes
	@$(MAKE) --no-print-directory compile-tests
	@$(NODE) -r ts-node/register/transpile-only src/libbpf-ts/test/corpus/run.ts $(CORPUS_ARGS)

test-playwright: setup-playwright ## run a page in Chromium on bad wires; installs Chromium (400 MB); as root, four minutes
	@$(MAKE) --no-print-directory compile-tests
	@$(BIN)/tap run --jobs=1 --timeout=600 --reporter=tap test/playwright/*.test.ts

pictures: setup-playwright ## draw and take the pictures of docs/, from interfaces at work; installs Chromium (400 MB); as root, three minutes
	@$(MAKE) --no-print-directory compile-tests
	@$(BIN)/tap run --jobs=1 --timeout=300 --reporter=tap test/pictures/take/*.ts

demo-vm: setup-vm ## show the demo in a virtual machine, without root
	@$(MAKE) --no-print-directory compile-tests
	@$(VM) --kernel $(or $(KERNEL),6.18) -- node dist/cli/main.js demo

soak: setup-test ## longer runs: mixed load, 50 kills, 500 faults, a million bad frames, hold against drop
	@$(MAKE) --no-print-directory compile-tests
	@VNET_BPF_TEST_KILLS=50 VNET_BPF_TEST_FRAMES=1000000 VNET_BPF_TEST_ALL_STEPS=1 VNET_BPF_TEST_INTERFACES=64 VNET_BPF_TEST_SWAPS=1000 VNET_BPF_TEST_FAULT_ROUNDS=500 VNET_BPF_TEST_ALL_OFFLOADS=1 VNET_BPF_TEST_ALL_BUGS=1 LIBBPF_TS_MUTANTS=50000 $(BIN)/tap run --jobs=1 --timeout=3600 --reporter=tap \
		test/kernel/long/many.test.ts test/kernel/long/crash-adopt.test.ts test/kernel/long/crash-steps.test.ts test/kernel/long/lifecycle-killed.test.ts test/kernel/alone/fuzz-frames.test.ts test/kernel/long/hook-swap.test.ts test/kernel/long/fault-swap.test.ts test/kernel/long/record.test.ts test/kernel/faults.test.ts test/kernel/long/hold-offloads.test.ts test/kernel/long/explore.test.ts test/soak/hold-vs-drop.ts test/soak/hook-cost.ts test/soak/fault-cost.ts test/soak/fault-accuracy.ts test/soak/web-cost.ts test/soak/mixed.ts src/libbpf-ts/test/kernel-mutants.test.ts

bench: setup-bench ## compare with the same loop in C, with TAP and with the kernel's redirect; writes docs/benchmarks.md (BENCH_ARGS)
	@$(MAKE) --no-print-directory compile-bench
	@$(NODE) -r ts-node/register/transpile-only test/bench/run.ts $(BENCH_ARGS)

bench-quick: setup-bench ## the same in a minute, less exact; writes nothing
	@$(MAKE) --no-print-directory compile-bench
	@$(NODE) -r ts-node/register/transpile-only test/bench/run.ts --quick $(BENCH_ARGS)

lint: setup-build ## type checks, eslint, the formatter's layout, warnings of clang, licence headers, a hint with each error, no registry host in the tree, the order of folders, words and phrases
	@$(MAKE) --no-print-directory -j2 --output-sync lint-layout lint-style lint-c lint-texts

lint-style: compile
	@$(NODE) -r ts-node/register/transpile-only test/lint/style.ts

# Of libbpf-ts; checked in, because they are read as examples, too.
examples: setup-build ## write the generated code of the examples of libbpf-ts
	@$(MAKE) --no-print-directory compile
	@cd src/libbpf-ts/examples && work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && for name in $(EXAMPLES_GENERATED); do \
		$(CLANG) -target bpf -g -O2 -mcpu=v3 -D__TARGET_ARCH_$(if $(filter aarch64%,$(MULTIARCH)),arm64,x86) -I/usr/include/$(MULTIARCH) -c $$name.bpf.c -o $$work/$$name.bpf.o && \
		{ echo '// SPDX-License-Identifier: MIT'; $(NODE) ../dist/cli.js generate $$work/$$name.bpf.o; } >$$name.generated.ts || exit; done

FORMATTED := 'src/**/*.{ts,tsx,css}' 'src/examples/**/*.mjs' 'test/**/*.{ts,mjs,cjs}'

lint-layout: node_modules/.package-lock.json
	@$(BIN)/prettier --log-level warn --check $(FORMATTED) || { . src/setup/say.sh; fail "the layout" "is not the formatter's" "make format"; }

format: node_modules/.package-lock.json ## lay out TypeScript as the formatter has it
	@$(BIN)/prettier --log-level warn --write $(FORMATTED)

lint-c:
	$(CLANG) $(BPF_CFLAGS) -fsyntax-only bpf/vnet.bpf.c test/bench/c/redirect.bpf.c test/bpf/others.bpf.c
	$(CLANG) -O2 -Wall -Wextra -Werror -fsyntax-only $(filter-out %.bpf.c,$(wildcard test/bench/c/*.c))

lint-texts: node_modules/.package-lock.json
	@$(NODE) -r ts-node/register/transpile-only test/lint/headers.ts
	@$(NODE) -r ts-node/register/transpile-only test/lint/hints.ts
	@$(NODE) -r ts-node/register/transpile-only test/lint/hosts.ts
	@$(NODE) -r ts-node/register/transpile-only test/lint/layers.ts
	@$(NODE) -r ts-node/register/transpile-only test/lint/phrases.ts

docs: setup-build ## make a site of the documents and of the library's reference, with search, in dist/docs; checks its links
	@$(MAKE) --no-print-directory compile
	@$(NODE) dist/setup/site.js dist/docs

build: setup-build ## compile TypeScript and BPF into dist/
	@$(MAKE) --no-print-directory compile

compile: $(BUILT) $(BPF_OBJECT) $(HELP)
	@:

compile-tests: compile $(TESTS_BUILT) $(TAP_BUILT)
	@:

compile-bench: compile-tests $(BENCH_BUILT)
	@:

# The target that npm itself writes last: an interrupted npm ci is done again.
node_modules/.package-lock.json: package-lock.json
	@echo "setup: npm ci"
	@NODE_EXTRA_CA_CERTS="$$VNET_BPF_CERTIFICATES" npm ci --no-audit --no-fund --no-update-notifier --loglevel=error </dev/null >/dev/null
	@touch $@

$(LIBBPF_BUILT): node_modules/.package-lock.json tsconfig.json src/libbpf-ts/tsconfig.json $(filter src/libbpf-ts/%,$(SOURCES))
	@echo "build: libbpf-ts"
	@$(BIN)/tsc -b src/libbpf-ts
	@touch $@

$(LAYOUT_BUILT): $(BPF_OBJECT) $(LIBBPF_BUILT)
	@{ echo '// SPDX-License-Identifier: MIT'; $(NODE) src/libbpf-ts/dist/cli.js layout $<; } >$@.new
	@cmp -s $@.new $(LAYOUT) || if [ "$$CI" = true ]; then \
		. src/setup/say.sh; fail $(LAYOUT) "is not what bpf/layout.h makes" "make build writes it: commit it with the change of bpf"; \
	else cp $@.new $(LAYOUT); fi
	@mv $@.new $@

# Where nothing has changed in it, it keeps its time, and nothing is compiled.
$(LAYOUT): $(LAYOUT_BUILT)
	@:

$(BUILT): node_modules/.package-lock.json tsconfig.json src/libbpf-ts/tsconfig.json $(SOURCES) $(PAGE)
	@echo "build: TypeScript"
	@$(BIN)/tsc -b
	@$(NODE) dist/setup/bundle.js
	@chmod +x dist/cli/main.js
	@touch $@

dist/man/vnet-bpf.1: $(BUILT) docs/cli.md package.json
	@mkdir -p $(@D)
	@$(NODE) dist/setup/man-page.js docs/cli.md >$@

dist/completion/vnet-bpf.%: $(BUILT)
	@mkdir -p $(@D)
	@$(NODE) dist/cli/main.js completion $* >$@

$(TESTS_BUILT): $(BUILT) $(TEST_SOURCES)
	@echo "build: tests"
	@$(BIN)/esbuild $(filter %.ts,$(TEST_SOURCES)) $(SOURCES) --outdir=dist-test --outbase=. --format=cjs --platform=node --target=node20 --sourcemap --log-level=warning
	@cp -r src/libbpf-ts/test/bpf dist-test/src/libbpf-ts/test/
	@touch $@

# tap builds itself with the plugins of .taprc; guests take it as it is.
$(TAP_BUILT): .taprc node_modules/.package-lock.json test/vm/tap-bundle.ts
	@mkdir -p $(@D)
	@$(BIN)/tap build >/dev/null
	@$(NODE) -r ts-node/register/transpile-only test/vm/tap-bundle.ts $(@D)/tap.cjs
	@touch $@

$(BPF_OBJECT): bpf/vnet.bpf.c $(wildcard bpf/*.h)
	@echo "build: BPF"
	@mkdir -p $(@D)
	@$(CLANG) $(BPF_CFLAGS) -c $< -o $@

dist-test/bench/%: test/bench/c/%.c $(wildcard test/bench/c/*.h) bpf/layout.h
	@mkdir -p $(@D)
	@$(CC) -O2 -Wall -Wextra -Werror -o $@ $< $(if $(filter twin,$*),-lbpf) -pthread

dist-test/bench/%.bpf.o: test/bench/c/%.bpf.c
	@mkdir -p $(@D)
	@$(CLANG) $(BPF_CFLAGS) -c $< -o $@

# Set-up is checked by looking at the machine, not by stamps: packages come and go.
setup:
	@src/setup/machine.sh --for-root
	@[ "$(SETUP)" = no ] || src/setup/packages.sh $(PACKAGES)

setup-build:
	@src/setup/machine.sh
	@[ "$(SETUP)" = no ] || src/setup/packages.sh $(PACKAGES)

setup-test:
	@src/setup/machine.sh
	@[ "$(SETUP)" = no ] || src/setup/packages.sh $(TEST_PACKAGES)
	@[ "$(SETUP)" = no ] || src/setup/program.sh prometheus usr/bin/promtool .cache/bin
	@[ "$(SETUP)" = no ] || src/setup/program.sh ngtcp2-server usr/sbin/gtlsserver .cache/bin
	@[ "$(SETUP)" = no ] || src/setup/npm-cache.sh

setup-bench:
	@src/setup/machine.sh --for-root
	@[ "$(SETUP)" = no ] || src/setup/packages.sh $(BENCH_PACKAGES)

setup-vm:
	@src/setup/machine.sh
	@[ "$(SETUP)" = no ] || src/setup/packages.sh $(VM_PACKAGES)

setup-selftests:
	@src/setup/machine.sh --for-root
	@[ "$(SETUP)" = no ] || src/setup/packages.sh $(SELFTEST_PACKAGES)

setup-playwright:
	@src/setup/machine.sh --for-root
	@[ "$(SETUP)" = no ] || src/setup/packages.sh $(PLAYWRIGHT_PACKAGES)

pack: setup-build ## make vnet-bpf-VERSION.tgz, for npm i -g: whoever installs it needs neither make nor a compiler
	@$(MAKE) --no-print-directory compile
	@src/setup/pack.sh dist

deb: setup-build ## make vnet-bpf_VERSION_ARCHITECTURE.deb of the same, with the unit, the manual and completion
	@$(MAKE) --no-print-directory compile
	@src/setup/deb.sh dist

# DESTDIR: a root in which it is put together, as packagers do.
SHARE = $(DESTDIR)$(PREFIX)/share
# What install makes: a link in bin, the manual, and completion where each shell looks for it.
INSTALLED = "$(DESTDIR)$(PREFIX)/bin/vnet-bpf" "$(SHARE)/man/man1/vnet-bpf.1" "$(SHARE)/bash-completion/completions/vnet-bpf" \
	"$(SHARE)/zsh/site-functions/_vnet-bpf" "$(SHARE)/fish/vendor_completions.d/vnet-bpf.fish"

install: ## put the command vnet-bpf into $(PREFIX)/bin, with its manual and completion; it stays in this directory
	@src/setup/as-root.sh mkdir -p "$(DESTDIR)$(PREFIX)/bin"
	@src/setup/as-root.sh ln -sf "$(CURDIR)/dist/cli/main.js" "$(DESTDIR)$(PREFIX)/bin/vnet-bpf"
	@src/setup/as-root.sh install -D -m 644 dist/man/vnet-bpf.1 "$(SHARE)/man/man1/vnet-bpf.1"
	@src/setup/as-root.sh install -D -m 644 dist/completion/vnet-bpf.bash "$(SHARE)/bash-completion/completions/vnet-bpf"
	@src/setup/as-root.sh install -D -m 644 dist/completion/vnet-bpf.zsh "$(SHARE)/zsh/site-functions/_vnet-bpf"
	@src/setup/as-root.sh install -D -m 644 dist/completion/vnet-bpf.fish "$(SHARE)/fish/vendor_completions.d/vnet-bpf.fish"

uninstall: ## take it away again
	@src/setup/as-root.sh rm -f $(INSTALLED)

clean: ## remove what was built; node_modules stays
	rm -rf dist dist-test src/libbpf-ts/dist .tap
