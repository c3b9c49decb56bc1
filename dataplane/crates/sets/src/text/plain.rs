//! Plain lists: one entry on a line; `#` or `;` begins a comment.

use super::Stop;
use super::entries::{Entries, words};
use crate::builder::Why;

pub(crate) fn line(line: &[u8], entries: &mut Entries<'_>) -> Result<(), Stop> {
    let mut words = words(line);
    let Some(entry) = words.next() else { return Ok(()) };
    if words.next().is_some() {
        return Err(Why::MoreThanOne.into());
    }
    entries.add(entry)
}
