#!/usr/bin/env bash
# Installs the real neighbours that tests and bench use. Needs root or sudo, and Debian or Ubuntu; does nothing when all is there.
#
#   from the distribution   name servers, load generators, proxies; none of their daemons is started, now or at boot
#   built by cargo          shadowsocks-rust (the distribution has nothing for the 2022 edition) and cargo-fuzz, into
#                           ZONEGATE_PEERS (default /opt/zonegate-peers)
#   built by go             sing-box, the other implementation of the 2022 edition, into the same place
set -euo pipefail

PEERS=${ZONEGATE_PEERS:-/opt/zonegate-peers}
SHADOWSOCKS_RUST=1.25.0
CARGO_FUZZ=0.13.2
SING_BOX=1.14.1
PACKAGES=(
    bind9 bind9-utils bind9-dnsutils nsd knot knot-dnsutils pdns-server pdns-backend-bind pdns-backend-sqlite3 ldnsutils unbound
    dnsdist dnsperf shadowsocks-libev dante-server microsocks openssh-client openssh-server build-essential nftables iproute2
)
PROGRAMS=(
    named dig dnssec-verify nsd knotd kdig pdns_server pdnsutil ldns-verify-zone unbound
    dnsdist dnsperf ss-server ss-local danted microsocks ssh sshd c++ nft ip
)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing_programs() {
    local program
    # The one package that is no program: a backend of PowerDNS.
    [ -e /usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql ] || echo pdns-backend-sqlite3
    for program in "${PROGRAMS[@]}"; do
        PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$program" > /dev/null || echo "$program"
    done
}

# Debian asks policy-rc.d before it starts a daemon (invoke-rc.d(8)); 101 says no. One that is already there stays in force.
POLICY=/usr/sbin/policy-rc.d
forbid_daemons() {
    [ ! -e "$POLICY" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" > /dev/null
    as_root chmod 755 "$POLICY"
    trap 'as_root rm -f "$POLICY"' EXIT
}

# What was not here before shall not come up with the machine either.
keep_off_at_boot() {
    local package unit
    command -v systemctl > /dev/null || return 0
    for package in "$@"; do
        for unit in $(dpkg -L "$package" | sed -nE 's,.*/systemd/system/([^/@]+\.service)$,\1,p'); do
            as_root systemctl disable --quiet "$unit" || echo "could not disable $unit; it may start at boot" >&2
        done
    done
}

install_packages() {
    local missing
    missing=$(missing_programs)
    [ -n "$missing" ] || return 0
    command -v apt-get > /dev/null || {
        echo "no apt-get here; install by hand what provides:" $missing >&2
        exit 1
    }
    local package new=()
    for package in "${PACKAGES[@]}"; do
        dpkg -s "$package" > /dev/null 2>&1 || new+=("$package")
    done
    forbid_daemons
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${new[@]}" < /dev/null
    keep_off_at_boot "${new[@]}"
    missing=$(missing_programs)
    [ -z "$missing" ] || { echo "still missing:" $missing >&2; exit 1; }
}

# install_crate NAME VERSION PROGRAM [OPTION...]: build it unless that version is there
install_crate() {
    local name=$1 version=$2 program=$3
    shift 3
    if "$PEERS/bin/$program" --version 2> /dev/null | grep -qF " $version"; then return 0; fi
    # Without link-time optimisation: it would double the build for peers whose speed is not what is measured.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install "$name" --version "$version" --locked --root "$PEERS" "$@"
}

# install_sing_box VERSION: build it, without its optional parts, unless that version is there
install_sing_box() {
    if "$PEERS/bin/sing-box" version 2> /dev/null | grep -qF " $1"; then return 0; fi
    local PATH=$PATH:/usr/local/go/bin # where Go's own archive puts it
    command -v go > /dev/null || {
        echo "Go 1.25 or later is needed to build sing-box $1, a peer of the tunnels: https://go.dev/dl" >&2
        exit 1
    }
    GOBIN=$PEERS/bin go install -trimpath -ldflags "-s -w -X github.com/sagernet/sing-box/constant.Version=$1" \
        "github.com/sagernet/sing-box/cmd/sing-box@v$1"
}

install_packages
[ -w "$PEERS" ] || {
    as_root mkdir -p "$PEERS"
    as_root chown "$(id -u)" "$PEERS"
}
install_crate shadowsocks-rust "$SHADOWSOCKS_RUST" ssserver --no-default-features \
    --features server,local,local-tunnel,aead-cipher,aead-cipher-2022,logging,multi-threaded
install_crate cargo-fuzz "$CARGO_FUZZ" cargo-fuzz
install_sing_box "$SING_BOX"
echo "peers are there: ${PACKAGES[*]} and, in $PEERS, shadowsocks-rust $SHADOWSOCKS_RUST, cargo-fuzz $CARGO_FUZZ," \
    "sing-box $SING_BOX"
