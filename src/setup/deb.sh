#!/bin/sh
# SPDX-License-Identifier: MIT
# deb.sh DIRECTORY: makes vnet-bpf_VERSION_ARCHITECTURE.deb there, of what npm makes of the tarball. From the root of
# the repository, with everything built. Root is not needed.
set -eu
. "$(dirname "$0")/say.sh"

destination=$1
for tool in npm dpkg-deb gzip; do
	command -v $tool >/dev/null || fail "deb" "there is no $tool" "install it: on Debian and Ubuntu, apt-get install npm dpkg gzip"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
lib=$root/usr/lib/vnet-bpf
share=$root/usr/share
npm() { NODE_EXTRA_CA_CERTS=${VNET_BPF_CERTIFICATES-${NODE_EXTRA_CA_CERTS-}} command npm "$@" --silent --no-update-notifier </dev/null; }

echo "deb: npm install"
src/setup/pack.sh "$work"
npm install --global --ignore-scripts --prefix "$work/npm" --prefer-offline --no-audit --no-fund "$work"/*.tgz >"$work/log" 2>&1 ||
	{ cat "$work/log" >&2; fail "npm install" "failed" "it needs the packages of package.json, from the network or from npm's cache"; }

mkdir -p "$root/usr/lib" "$root/usr/bin" "$root/DEBIAN"
mv "$work/npm/lib/node_modules/vnet-bpf" "$lib"
ln -s ../lib/vnet-bpf/dist/cli/main.js "$root/usr/bin/vnet-bpf"

# Files where others look for them; they are in the tree of the tarball, too.
put() { install -D -m 644 "$1" "$2"; }
put dist/man/vnet-bpf.1 "$share/man/man1/vnet-bpf.1"
put dist/completion/vnet-bpf.bash "$share/bash-completion/completions/vnet-bpf"
put dist/completion/vnet-bpf.zsh "$share/zsh/vendor-completions/_vnet-bpf"
put dist/completion/vnet-bpf.fish "$share/fish/vendor_completions.d/vnet-bpf.fish"
put 'docs/systemd/vnet-bpf@.service' "$root/usr/lib/systemd/system/vnet-bpf@.service"
put docs/systemd/10-vnet-bpf.link "$root/usr/lib/systemd/network/10-vnet-bpf.link"
put docs/systemd/10-vnet-bpf.network "$root/usr/lib/systemd/network/10-vnet-bpf.network"
put docs/systemd/NetworkManager.conf "$root/usr/lib/NetworkManager/conf.d/90-vnet-bpf.conf"
mkdir -p "$share/doc/vnet-bpf" "$share/lintian/overrides"
maintainer='the vnet-bpf developers <vnet-bpf@localhost>'
version=$(node -p 'require("./package.json").version')
cat >"$share/doc/vnet-bpf/changelog" <<EOF
vnet-bpf ($version) unstable; urgency=medium

  * What has changed is in /usr/lib/vnet-bpf/docs/CHANGELOG.md.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")
EOF
cat LICENSE - >"$share/doc/vnet-bpf/copyright" <<EOF

What is in /usr/lib/vnet-bpf/bpf is under the GNU General Public License, version 2 only:
/usr/share/common-licenses/GPL-2.
EOF
cat >"$share/lintian/overrides/vnet-bpf" <<EOF
# A program for the kernel's BPF.
vnet-bpf: binary-from-other-architecture [usr/lib/vnet-bpf/dist/bpf/vnet.bpf.o]
# Made by whoever built it, for themselves.
vnet-bpf: bogus-mail-host Maintainer vnet-bpf@localhost
vnet-bpf: bogus-mail-host-in-debian-changelog *
EOF
# For another C library, and for compiling koffi; declarations that begin as programs do.
rm -rf "$lib"/node_modules/@koromix/*/musl_* "$lib/node_modules/koffi/cnoke.cjs"
sed -i '1{/^#!/d}' "$lib/dist/cli/main.d.ts" "$lib/node_modules/libbpf-ts/dist/cli.d.ts"
gzip -9n "$share/man/man1/vnet-bpf.1" "$share/doc/vnet-bpf/changelog"
# npm's modes are those of whoever packed; a package has the usual ones.
chmod -R u=rwX,go=rX "$root"
chmod 755 "$lib/dist/cli/main.js"
find "$lib" -name '*.node' -exec chmod 644 {} +

architecture=$(dpkg --print-architecture)
cat >"$root/DEBIAN/control" <<EOF
Package: vnet-bpf
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Section: net
Priority: optional
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: nodejs (>= 20), libc6, libbpf1, iproute2
Recommends: libpcap0.8
Suggests: bash-completion
Description: loopback NIC, programmable in TypeScript
 A virtual Ethernet interface whose transmitted packets come back as received
 ones, looped by BPF and a poller in TypeScript. Documents are in
 /usr/lib/vnet-bpf/docs.
EOF
(cd "$root" && find usr -type f -exec md5sum {} +) >"$root/DEBIAN/md5sums"

mkdir -p "$destination"
package=$destination/vnet-bpf_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >"$work/log"
echo "deb: $package"
