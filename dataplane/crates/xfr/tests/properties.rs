//! Rules that hold for any bytes and any chunking.

mod common;

use std::sync::Arc;

use common::*;
use proptest::prelude::*;
use xfr::{Answers, Digest, Limits, Piece, Reason, Record, Rrsets, Sum, name};

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

/// What the digest of a record is said to be, by the plain function.
fn hashed(canonical: &[u8]) -> Digest {
    let mut filled = canonical.to_vec();
    filled.resize(canonical.len().next_multiple_of(64), 0);
    Digest::from_bytes(*blake3::hash(&filled).as_bytes())
}

proptest! {
    #[test]
    fn records_hashed_side_by_side_give_the_sum_of_their_hashes(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..450), 0..60),
    ) {
        let (mut sum, mut expected) = (Sum::default(), Digest::default());
        for record in &records {
            sum.add(record);
            expected.add(hashed(record));
            prop_assert_eq!(Digest::of(record), hashed(record));
        }
        prop_assert_eq!(sum.total(), expected);
    }

    #[test]
    fn names_are_made_lower_case_byte_by_byte(label in prop::collection::vec(any::<u8>(), 1..64), behind in 0usize..12) {
        let mut message = vec![label.len() as u8];
        message.extend_from_slice(&label);
        message.push(0);
        let expected: Vec<u8> = message.to_ascii_lowercase();
        message.resize(message.len() + behind, b'Z');
        let mut read = b"before".to_vec();
        prop_assert_eq!(name::append(&message, 0, &mut read), Some(expected.len()));
        prop_assert_eq!(&read[6..], expected);
    }

    #[test]
    fn a_record_behind_others_reads_as_it_does_alone(
        names in prop::collection::vec((prop::collection::vec(0u8..3, 0..4), prop::option::of(any::<prop::sample::Index>())), 1..30),
    ) {
        let mut message = vec![0; 12];
        let mut places = vec![11, 12]; // one that no pointer may lead to, and those of all labels
        let mut behind = Record::default();
        behind.begin();
        for (labels, pointer) in names {
            let start = message.len();
            for label in labels {
                places.push(message.len());
                message.extend_from_slice(&[vec![1], vec![b'A' + label], vec![2, b'x', b'y']][usize::from(label)]);
            }
            match pointer {
                Some(place) => {
                    let target = *place.get(&places) as u16;
                    places.push(message.len());
                    message.extend_from_slice(&(0xc000 | target).to_be_bytes());
                }
                None => message.push(0),
            }
            message.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1]);
            let mut alone = Record::default();
            alone.begin();
            let expected = alone.read(&message, start);
            prop_assert_eq!(behind.read(&message, start).is_ok(), expected.is_ok());
            if expected.is_err() {
                break; // so does the guard
            }
            prop_assert_eq!(behind.canonical(), alone.canonical());
            prop_assert_eq!(behind.owner(), alone.owner());
            if let Some((_, end)) = behind.end() {
                prop_assert!(alone.owner().ends_with(end));
            }
        }
    }

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
