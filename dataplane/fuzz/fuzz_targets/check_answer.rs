//! Invariant: whatever bytes come from where the backends are, the check of answers
//! - returns, and does not panic;
//! - accepts only messages of a whole header with QR set and at most one question;
//! - reads ID, flags and question as they stand in the message;
//! - names every fault by a reason that is one of an answer;
//! and whatever it accepts has a class, shares a whole name or none, and is cut to a shorter answer or left alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::name::{MAX_NAME, labels};
use wire::{AnswerClass, HEADER_LEN, check_answer, classify, cut_answer};

fuzz_target!(|message: &[u8]| {
    match check_answer(message) {
        Ok(answer) => {
            assert!(message.len() >= HEADER_LEN && message[2] & 0x80 != 0);
            assert_eq!(answer.id.to_be_bytes(), message[..2]);
            assert_eq!(answer.rcode, message[3] & 0x0f);
            assert_eq!(answer.truncated, message[2] & 2 != 0);
            assert_eq!([0, u8::from(answer.question.is_some())], message[4..6]);
            if let Some(question) = answer.question {
                let end = HEADER_LEN + question.name.len();
                assert_eq!(question.name, &message[HEADER_LEN..end]);
                assert_eq!(question.qtype.to_be_bytes(), message[end..end + 2]);
                assert_eq!(question.qclass.to_be_bytes(), message[end + 2..end + 4]);
            }
            let mut buffer = [0; MAX_NAME];
            let (class, shared) = classify(message, &answer, &mut buffer);
            assert_eq!(class == AnswerClass::Nxdomain, answer.rcode == 3);
            let walked: usize = labels(shared).map(|label| label.len() + 1).sum();
            assert!(shared.is_empty() || walked + 1 == shared.len());
            let mut cut = message.to_vec();
            match cut_answer(&mut cut, message.len()) {
                Some(length) => {
                    let short = check_answer(&cut[..length]).expect("a cut answer is one");
                    assert!(length <= message.len() && short.truncated && short.question == answer.question);
                }
                None => assert_eq!(cut, message),
            }
        }
        Err(reason) => assert!(reason.label().starts_with("answer-")),
    }
});
