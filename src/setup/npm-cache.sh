#!/bin/sh
# SPDX-License-Identifier: MIT
# npm-cache.sh: makes sure that npm can install the tarball without a network, as tests do in namespaces of their own.
# `npm ci` leaves only the packages themselves in npm's cache, while an install by name also asks which versions there are.
# From the root of the repository.
set -eu
. "$(dirname "$0")/say.sh"

command -v npm >/dev/null || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/lib" # npm looks for it

packages=$(node -p '
	Object.entries(require("./package.json").dependencies)
		.filter(([name]) => name !== "libbpf-ts")
		.map((each) => each.join("@"))
		.join(" ")')

try() { # OPTION
	# shellcheck disable=SC2086 # a list of names
	NODE_EXTRA_CA_CERTS=${VNET_BPF_CERTIFICATES-${NODE_EXTRA_CA_CERTS-}} npm install --dry-run --global --prefix "$work" \
		"$1" --no-audit --no-fund --no-update-notifier --loglevel=error $packages </dev/null >"$work/log" 2>&1
}

try --offline && exit 0
echo "setup: npm's cache"
try --prefer-offline || { cat "$work/log" >&2; echo "setup: npm's cache lacks $packages; going on without them"; }
