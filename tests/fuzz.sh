#!/usr/bin/env bash
# Runs every fuzz target of dataplane/fuzz for a bounded time: tests/fuzz.sh [SECONDS]. A finding ends it with an error;
# the input that did it is then in dataplane/fuzz/artifacts. What each target promises stands at its head.
set -euo pipefail
cd "$(dirname "$0")/../dataplane"

SECONDS_EACH=${1:-60}
export PATH=${ZONEGATE_PEERS:-/opt/zonegate-peers}/bin:$PATH
export RUSTC_BOOTSTRAP=1 # the sanitizers' switches are marked unstable; this lets the stable compiler take them

command -v cargo-fuzz > /dev/null || { echo "cargo-fuzz is needed; make peers installs it" >&2; exit 1; }
for target in $(cargo fuzz list); do
    echo "== $target: $SECONDS_EACH s"
    cargo fuzz run "$target" -- -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0
done
