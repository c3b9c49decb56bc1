#!/bin/sh
# The rules of transparent.nft together with the routes that they need:
#
#   transparent.sh up      load both; safe to be run again
#   transparent.sh down    take away both: from then on nodes reach their primaries directly, if this machine forwards
#   transparent.sh show    counters, rules and routes
#
# A packet with the mark is delivered on this machine, whatever its destination. Needs root, nft and iproute2.
set -eu

RULES=$(dirname "$0")/transparent.nft
MARK=0x5399  # as in transparent.nft
TABLE=5399   # a number that no other routing table and no rule of this machine has, and the rule before it neither
BEFORE=$((TABLE - 1))

# rule FAMILY PRIORITY WORD...: have this rule
rule() {
    family=$1 priority=$2
    shift 2
    ip "$family" rule show | grep -q "^$priority:" || ip "$family" rule add priority "$priority" fwmark "$MARK" "$@"
}

case ${1-} in
up)
    nft -f "$RULES" # first, as it also stops what would go directly
    for family in -4 -6; do
        # Where net.ipv4.conf.*.src_valid_mark is 1 (wg-quick sets it), the way back to a node is looked up with the
        # mark, as if we sent: it must not be found here.
        rule "$family" "$BEFORE" iif lo lookup main
        rule "$family" "$TABLE" lookup "$TABLE"
        ip "$family" route replace local default dev lo table "$TABLE"
    done
    ;;
down)
    nft delete table inet zonegate 2> /dev/null || true
    for family in -4 -6; do
        for priority in "$BEFORE" "$TABLE"; do
            while ip "$family" rule del priority "$priority" fwmark "$MARK" 2> /dev/null; do :; done
        done
        ip "$family" route flush table "$TABLE" 2> /dev/null || true
    done
    ;;
show)
    nft list counters table inet zonegate || echo "the rules are not loaded: run $0 up" >&2
    for family in -4 -6; do
        ip "$family" rule show fwmark "$MARK" | grep "lookup $TABLE" || echo "no rule for the mark $MARK: run $0 up" >&2
        ip "$family" route show table "$TABLE" type local 2> /dev/null | grep . ||
            echo "no route in table $TABLE: run $0 up" >&2
    done
    ;;
*)
    echo "usage: $0 up | down | show" >&2
    exit 2
    ;;
esac
