//! Lists: which of them decides, what becomes of the message, and what is counted.

mod common;

use std::io::Cursor;
use std::sync::Arc;

use common::{CLIENT, Engine, client, limit, limited, message, name, over_tcp, query, with_cookie};
use engine::{
    Action, Client, Grants, ListAction, ListMemory, ListSpec, MAX_LISTS, Policy, PolicySpec, SharedList, Verdict,
};
use sets::{Effect, List, ListBuilder, Scope};
use wire::{REPLY_EXTRA, Reason, write_reply_with};

fn list(names: &[(&str, Scope, Effect)], clients: &[(&str, u8, Effect)]) -> Option<Arc<SharedList>> {
    let mut builder = ListBuilder::new(100);
    for (dotted, scope, effect) in names {
        builder.add_name(&name(dotted), *scope, *effect).expect("a name");
    }
    for (address, bits, effect) in clients {
        builder.add_prefix(address.parse().expect("an address"), *bits, *effect).expect("a prefix");
    }
    let mut file = Cursor::new(Vec::new());
    builder.write(&mut file, 0).expect("memory takes it");
    Some(Arc::new(List::open(ListMemory::new(file.into_inner())).expect("what was written can be read")))
}

fn bad(action: ListAction) -> ListSpec {
    let list = list(&[("bad.test", Scope::Suffix, Effect::Listed)], &[("198.51.100.0", 24, Effect::Listed)]);
    ListSpec { list, action, cell: 0 }
}

fn engine(mut lists: Vec<ListSpec>) -> Engine {
    lists.iter_mut().enumerate().for_each(|(cell, spec)| spec.cell = cell);
    Engine::new(PolicySpec { lists, ..limited(vec![]) })
}

const ELSEWHERE: &str = "203.0.113.7";

#[test]
fn each_action_has_its_verdict() {
    for (action, udp, tcp) in [
        (ListAction::Drop, "drop listed", "drop listed"),
        (ListAction::Refuse, "reply listed 5", "reply listed 5"),
        (ListAction::Nxdomain, "reply listed 3", "reply listed 3"),
        (ListAction::Nodata, "reply listed 0", "reply listed 0"),
        (ListAction::Truncate, "reply listed tc 0", "forward ok"),
        (ListAction::Pass, "forward ok", "forward ok"),
        (ListAction::Select, "forward ok", "forward ok"),
    ] {
        let engine = engine(vec![bad(action)]);
        for (who, asked) in [(ELSEWHERE, "www.bad.test"), ("198.51.100.9", "good.test")] {
            assert_eq!(engine.says(&query(asked), &client(who), 1), udp, "{action:?}");
            assert_eq!(engine.says(&query(asked), &over_tcp(client(who)), 1), tcp, "{action:?}");
        }
        assert_eq!(engine.says(&query("good.test"), &client(ELSEWHERE), 1), "forward ok");
        let hits = engine.layout.totals(&engine.memory).expect("laid out").listed(0);
        assert_eq!(hits, if action == ListAction::Select { 0 } else { 4 }, "{action:?}");
    }
}

#[test]
fn an_rpz_does_what_its_entries_say_and_an_action_overrides_all_but_passing() {
    let entries = [
        ("nx.test", Scope::Exact, Effect::Nxdomain),
        ("no.test", Scope::Exact, Effect::Nodata),
        ("drop.test", Scope::Below, Effect::Drop),
        ("ok.drop.test", Scope::Exact, Effect::Pass),
        ("tcp.test", Scope::Exact, Effect::Truncate),
    ];
    let clients = [("198.51.100.0", 24, Effect::Drop), ("198.51.100.1", 32, Effect::Pass)];
    let zone = |action| engine(vec![ListSpec { list: list(&entries, &clients), action, cell: 0 }]);
    let (given, refusing) = (zone(ListAction::Given), zone(ListAction::Refuse));
    for (who, asked, expected, overridden) in [
        (ELSEWHERE, "nx.test", "reply listed 3", "reply listed 5"),
        (ELSEWHERE, "no.test", "reply listed 0", "reply listed 5"),
        (ELSEWHERE, "x.drop.test", "drop listed", "reply listed 5"),
        (ELSEWHERE, "drop.test", "forward ok", "forward ok"),
        (ELSEWHERE, "ok.drop.test", "forward ok", "forward ok"),
        (ELSEWHERE, "tcp.test", "reply listed tc 0", "reply listed 5"),
        ("198.51.100.2", "good.test", "drop listed", "reply listed 5"),
        ("198.51.100.1", "nx.test", "forward ok", "forward ok"),
    ] {
        assert_eq!(given.says(&query(asked), &client(who), 1), expected, "{who} {asked}");
        assert_eq!(refusing.says(&query(asked), &client(who), 1), overridden, "{who} {asked}");
    }
}

#[test]
fn the_first_list_that_knows_decides() {
    let pass = ListSpec {
        list: list(&[("ok.bad.test", Scope::Exact, Effect::Listed)], &[]),
        action: ListAction::Pass,
        cell: 0,
    };
    let missing = ListSpec { list: None, action: ListAction::Drop, cell: 0 };
    let engine = engine(vec![bad(ListAction::Select), missing, pass, bad(ListAction::Drop), bad(ListAction::Refuse)]);
    assert_eq!(engine.says(&query("ok.bad.test"), &client(ELSEWHERE), 1), "forward ok");
    assert_eq!(engine.says(&query("bad.test"), &client(ELSEWHERE), 1), "drop listed");
    let totals = engine.layout.totals(&engine.memory).expect("laid out");
    assert_eq!([0, 1, 2, 3, 4, MAX_LISTS].map(|index| totals.listed(index)), [0, 0, 1, 1, 0, 0]);
}

#[test]
fn refusals_stay_within_the_error_budget() {
    let engine = engine(vec![bad(ListAction::Refuse)]);
    let who = client(ELSEWHERE);
    let said: Vec<_> = (0..30).map(|_| engine.says(&query("bad.test"), &who, 1)).collect();
    assert_eq!(said.iter().filter(|said| *said == "reply listed 5").count(), 10);
    assert_eq!(said.last().map(String::as_str), Some("drop error-budget"));
}

#[test]
fn what_a_list_answers_stays_within_the_rate_limits() {
    for action in [ListAction::Nxdomain, ListAction::Nodata, ListAction::Truncate] {
        let limits = limited(vec![limit(CLIENT, 1, 3, Action::Drop)]);
        let engine = Engine::new(PolicySpec { lists: vec![bad(action)], ..limits });
        let who = client(ELSEWHERE);
        let said: Vec<_> = (0..10).map(|_| engine.says(&query("bad.test"), &who, 1)).collect();
        assert_eq!(said.iter().filter(|said| said.starts_with("reply listed")).count(), 3, "{said:?}");
        assert_eq!(said.last().map(String::as_str), Some("drop rate-limited"));
    }
}

#[test]
fn who_asks_with_edns_hears_that_it_is_blocked() {
    const EDE_BLOCKED: [u8; 6] = [0, 15, 0, 2, 0, 15];
    for (action, expected) in [
        (ListAction::Nxdomain, &EDE_BLOCKED[..]),
        (ListAction::Nodata, &EDE_BLOCKED),
        (ListAction::Refuse, &EDE_BLOCKED),
        (ListAction::Truncate, &[]),
    ] {
        let engine = engine(vec![bad(action)]);
        let asked = with_cookie(&query("bad.test"), b"clientck");
        let Verdict::Reply { rcode, truncated, echo, .. } = engine.decide(&asked, &client(ELSEWHERE), 1) else {
            panic!("{action:?} gave no reply")
        };
        let mut buffer = asked.clone();
        buffer.resize(asked.len() + REPLY_EXTRA, 0);
        let length = write_reply_with(&mut buffer, echo, rcode, truncated, engine.policy.options(echo.note));
        let opt = asked.len() - 12;
        assert_eq!(&buffer[opt..length], expected, "{action:?}");
        assert!(length <= asked.len(), "the reply is no longer than the query");
    }
}

#[test]
fn names_are_looked_up_for_queries_of_class_in_alone() {
    let engine = engine(vec![bad(ListAction::Nxdomain)]);
    let granted = |who| Client { grants: Grants { notify: true, ..Grants::default() }, ..client(who) };
    let notify = message(4, &name("bad.test"), 6, 1);
    assert_eq!(engine.says(&notify, &granted(ELSEWHERE), 1), "forward ok");
    assert_eq!(engine.says(&notify, &granted("198.51.100.9"), 1), "reply listed 5", "a NOTIFY has no NXDOMAIN");
}

#[test]
fn there_are_so_many_lists_and_no_more() {
    let lists = vec![ListSpec::default(); MAX_LISTS + 1];
    let refusal = Policy::new(PolicySpec { lists, ..limited(vec![]) }).expect_err("one too many");
    assert!(refusal.contains("65 lists"), "{refusal}");
    assert_eq!(Reason::Listed.label(), "listed");
}
