//! Cookies on the way: out of the query for the backend, into the answer for the client.

use engine::{Io, Treatment};
use wire::{CookiePlace, Put, put_cookie, spare_cookie, strip_cookies};

/// Makes a query ready for the backend and returns its new length. What it says of its UDP size leaves room for the
/// cookie that the answer will get.
pub fn prepare(query: &mut [u8], place: CookiePlace, treatment: &Treatment) -> usize {
    spare_cookie(query, place);
    if treatment.strip_cookie { strip_cookies(query, place) } else { query.len() }
}

/// Puts the client's cookie, if one is due, into the answer in the first `length` bytes of `buffer`, and returns the
/// new length, with what else is to be counted.
pub fn finish(buffer: &mut [u8], length: usize, treatment: &Treatment) -> (usize, Option<Io>) {
    let Some(due) = &treatment.cookie else { return (length, None) };
    match put_cookie(buffer, length, &due.cookie, usize::from(due.room.get())) {
        Put::Done(length) => (length, None),
        Put::Truncated(length) => (length, Some(Io::AnswersCutForCookie)),
        Put::Unable => (length, Some(Io::AnswersWithoutCookie)),
    }
}
