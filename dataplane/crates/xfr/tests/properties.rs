//! Rules that hold for any bytes and any chunking.

mod common;

use std::sync::Arc;

use common::*;
use proptest::prelude::*;
use xfr::{Answers, Limits, Piece, Reason, Rrsets, name};

/// What passed, and the label of the verdict.
fn run(query: &[u8], chunks: &[&[u8]]) -> (Vec<u8>, Vec<&'static str>) {
    let mut answers = Answers::new(Arc::default(), Arc::new(keys()));
    answers.expect(query, NOW).expect("a query");
    let mut pieces: Vec<Piece> = chunks.iter().flat_map(|chunk| answers.feed(chunk, NOW)).collect();
    pieces.extend(answers.finish(NOW));
    let passed = pieces.iter().flat_map(|piece| piece.data.clone()).collect();
    (passed, pieces.iter().filter_map(|piece| Some(piece.verdict.as_ref()?.reason.label())).collect())
}

fn split<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut edges: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    edges.extend([0, stream.len()]);
    edges.sort_unstable();
    edges.windows(2).map(|edge| &stream[edge[0]..edge[1]]).collect()
}

/// Messages of a signed transfer, good or with bytes changed.
fn stream(records: u8, each: usize, changes: &[(prop::sample::Index, u8)]) -> (Vec<u8>, Vec<u8>) {
    let mut signer = Signer::new();
    let query = signer.sign(query(AXFR, 0));
    let mut all = vec![soa(7)];
    all.extend((0..records).map(|n| a(&format!("n{n}"), n)));
    all.push(soa(7));
    let messages: Vec<_> = answers(AXFR, &all, each).into_iter().map(|message| signer.sign(message)).collect();
    let mut stream = framed(&messages);
    for (at, byte) in changes {
        let at = at.index(stream.len());
        stream[at] = *byte;
    }
    (query, stream)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(
        records in 0u8..20, each in 1usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (query, stream) = stream(records, each, &changes);
        let whole = run(&query, &[&stream]);
        prop_assert_eq!(&run(&query, &split(&stream, &cuts)), &whole);
        prop_assert_eq!(whole.1.len(), 1);
    }

    #[test]
    fn a_signed_transfer_that_was_changed_anywhere_or_cut_is_not_accepted(
        records in 0u8..9, each in 1usize..5, at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let (query, good) = stream(records, each, &[]);
        prop_assert_eq!(run(&query, &[&good]).1, ["accepted"]);
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad[at] ^= flip;
        let (passed, verdicts) = run(&query, &[&bad]);
        // Letters of names that are not covered as they stand (key and algorithm in TSIG) may change their case.
        let same = bad.eq_ignore_ascii_case(&good);
        prop_assert!(same || verdicts != ["accepted"]);
        prop_assert!(same || passed.len() < good.len());
        prop_assert_eq!(run(&query, &[&good[..at]]).1, ["cut"]);
    }

    #[test]
    fn no_bytes_do_harm(stream in prop::collection::vec(any::<u8>(), 0..300), kind in 0usize..3) {
        let query = query([AXFR, IXFR, SOA][kind], 5);
        let (passed, verdicts) = run(&query, &[&stream]);
        prop_assert!(passed.len() <= stream.len());
        prop_assert_eq!(verdicts.len(), 1);
    }

    #[test]
    fn no_bytes_make_a_query_that_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 12usize..60) {
        let mut answers = Answers::new(Arc::default(), Arc::default());
        let _ = answers.expect(&bytes, NOW);
        let mut good = query(IXFR, 5);
        good.truncate(at);
        good.extend(bytes);
        let read = answers.expect(&good, NOW);
        prop_assert_eq!(read.is_ok(), answers.outstanding() > 0);
    }

    #[test]
    fn names_are_in_the_zone_by_labels(labels in prop::collection::vec("[a-z]{1,4}", 0..5), above in 0usize..6) {
        let whole = name_of(&labels);
        let zone = name_of(&labels[above.min(labels.len())..]);
        prop_assert!(name::is_in_zone(&whole, &zone));
        let mut longer = labels.clone();
        longer.push("zz".to_owned());
        prop_assert!(!name::is_in_zone(&whole, &name_of(&longer)));
    }

    #[test]
    fn no_rrset_within_its_limit_is_ever_called_too_large(
        order in prop::collection::vec((0u8..4, any::<bool>()), 0..600), limit in 1u64..40,
    ) {
        let mut rrsets = Rrsets::new(limit);
        let mut true_sizes = [0u64; 4];
        let mut record = xfr::Record::default();
        for (which, adds) in order {
            let wire = a(&format!("n{which}"), 1);
            let message = [vec![0; 12], wire].concat();
            record.begin();
            record.read(&message, 12).expect("a record");
            let size = &mut true_sizes[usize::from(which)];
            if adds {
                *size += 1;
                prop_assert!(!rrsets.add(&record) || *size > limit);
            } else if *size > 0 {
                *size -= 1;
                rrsets.remove(&record);
            }
        }
    }
}

fn name_of(labels: &[String]) -> Vec<u8> {
    common::name(&labels.join("."))
}

#[test]
fn large_rrsets_are_found_in_one_piece_and_scattered() {
    let limit = 100;
    for scattered in [false, true] {
        let mut records = vec![soa(7)];
        for n in 0..202u32 {
            records.push(record(&name("big.example"), 1, &n.to_be_bytes()));
            if scattered {
                records.push(a(&format!("n{n}"), 1));
            }
        }
        records.push(soa(7));
        let limits = Limits { rrset: limit, ..Limits::default() };
        let mut answers = Answers::new(Arc::new(limits), Arc::default());
        answers.expect(&query(AXFR, 0), NOW).expect("a query");
        let pieces = answers.feed(&framed(&common::answers(AXFR, &records, 10)), NOW);
        let verdict = pieces.iter().find_map(|piece| piece.verdict.as_ref()).expect("a verdict");
        assert_eq!(verdict.reason, Reason::RrsetTooLarge, "scattered: {scattered}");
        assert!(verdict.detail.starts_with("big.example. has more than 100 records of type 1"), "{}", verdict.detail);
    }
}
