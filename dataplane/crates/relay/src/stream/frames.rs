//! DNS messages in a byte stream: two bytes of length, then the message (RFC 1035 section 4.2.2).
//!
//! ```text
//! 0      2                length + 2
//! +------+----------------+------+---- - -
//! |length|    message     |length|
//! +------+----------------+------+---- - -
//! ```
//!
//! Complete messages are read where they lie in the caller's bytes; only what is left over is copied. How the stream is
//! cut into reads makes no difference to what comes out.

use wire::{HEADER_LEN, opcode};

/// Memory that an empty buffer may keep for the next message.
const KEPT: usize = 4096;

/// The longest messages that are taken.
#[derive(Clone, Copy, Debug)]
pub struct Longest {
    pub update: usize,
    pub other: usize,
}

impl Longest {
    pub const ANY: Longest = Longest { update: 65_535, other: 65_535 };
}

/// What the taker of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Go on with the next message.
    Taken,
    /// Not now: keep this message and all behind it.
    Later,
}

/// Where the walk over the bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All complete messages were taken.
    Dry,
    /// The taker said `Later`; the next complete message is kept.
    Held,
    /// A length below 12: no DNS message, and no telling where the next one begins.
    TooShort,
    /// Longer than is taken.
    TooLong,
}

#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Where the first message that was not taken begins.
    start: usize,
}

impl Frames {
    /// Bytes that wait here: a message that has begun, or messages that were held.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Complete messages that wait here.
    pub fn complete(&self) -> usize {
        let mut count = 0;
        let mut rest = &self.bytes[self.start..];
        while let Head::Whole(size) = head(rest, Longest::ANY) {
            count += 1;
            rest = &rest[size..];
        }
        count
    }

    /// Hand each complete message, without its length, to `take`; keep the rest.
    pub fn feed(&mut self, data: &[u8], longest: Longest, mut take: impl FnMut(&[u8]) -> Take) -> End {
        let mut data = data;
        while !self.is_empty() {
            match head(&self.bytes[self.start..], longest) {
                Head::Missing(_) if data.is_empty() => return End::Dry,
                Head::Missing(wanted) => {
                    let (now, later) = data.split_at(wanted.min(data.len()));
                    self.bytes.extend_from_slice(now);
                    data = later;
                }
                Head::Whole(size) => {
                    let end = self.start + size;
                    if take(&self.bytes[self.start + 2..end]) == Take::Later {
                        self.keep(data);
                        return End::Held;
                    }
                    self.start = end;
                }
                Head::Bad(end) => return end,
            }
        }
        self.clear();
        self.walk(data, longest, take)
    }

    /// `feed` with nothing kept from before: the messages are read in place.
    fn walk(&mut self, data: &[u8], longest: Longest, mut take: impl FnMut(&[u8]) -> Take) -> End {
        let mut rest = data;
        loop {
            match head(rest, longest) {
                Head::Missing(_) => {
                    self.keep(rest);
                    return End::Dry;
                }
                Head::Whole(size) => {
                    if take(&rest[2..size]) == Take::Later {
                        self.keep(rest);
                        return End::Held;
                    }
                    rest = &rest[size..];
                }
                Head::Bad(end) => return end,
            }
        }
    }

    fn keep(&mut self, data: &[u8]) {
        // Moving the rest to the front only when it is the smaller half keeps the cost of a long backlog linear.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    fn clear(&mut self) {
        self.start = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }
}

enum Head {
    /// That many bytes more are needed to know more.
    Missing(usize),
    /// A whole message, of that many bytes with its length.
    Whole(usize),
    Bad(End),
}

fn head(bytes: &[u8], longest: Longest) -> Head {
    let Some((prefix, message)) = bytes.split_at_checked(2) else { return Head::Missing(2 - bytes.len()) };
    let length = usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
    if length < HEADER_LEN {
        return Head::Bad(End::TooShort);
    }
    if length > longest.other {
        match message.get(2) {
            None => return Head::Missing(3 - message.len()),
            Some(flags) if (flags >> 3) & 15 != opcode::UPDATE || length > longest.update => {
                return Head::Bad(End::TooLong);
            }
            Some(_) => {}
        }
    }
    if message.len() < length { Head::Missing(length - message.len()) } else { Head::Whole(2 + length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: Longest = Longest { update: 500, other: 100 };

    /// Feed `stream` cut at `cuts`; the messages that came out, how it ended, and the bytes that wait.
    fn run(stream: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, End, usize) {
        let mut frames = Frames::default();
        let mut messages = Vec::new();
        let mut end = End::Dry;
        let mut rest = stream;
        for cut in cuts.iter().copied().chain([stream.len()]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            if end == End::Dry {
                end = frames.feed(now, LONGEST, |message| {
                    messages.push(message.to_vec());
                    Take::Taken
                });
            }
        }
        (messages, end, if end == End::Dry { frames.len() } else { 0 })
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes()[..], message].concat()
    }

    #[test]
    fn lengths_are_bounded_by_opcode() {
        let query = [0u8; 101];
        let mut update = [0u8; 500];
        update[2] = opcode::UPDATE << 3;
        assert_eq!(run(&framed(&query), &[]).1, End::TooLong);
        assert_eq!(run(&framed(&query)[..5], &[]).1, End::TooLong);
        assert_eq!(run(&framed(&query[..100]), &[]), (vec![vec![0; 100]], End::Dry, 0));
        assert_eq!(run(&framed(&update), &[4]).0, [update.to_vec()]);
        assert_eq!(run(&[0, 11], &[1]).1, End::TooShort);
        assert_eq!(run(&[0, 0, 0, 12], &[]).1, End::TooShort);
    }

    #[test]
    fn a_held_message_comes_again_first() {
        let mut frames = Frames::default();
        let stream = [framed(&[1; 12]), framed(&[2; 12]), framed(&[3; 12])].concat();
        assert_eq!(frames.feed(&stream[..30], LONGEST, |_| Take::Later), End::Held);
        assert_eq!((frames.len(), frames.complete()), (30, 2));
        assert_eq!(frames.feed(&stream[30..], LONGEST, |_| Take::Later), End::Held);
        assert_eq!(frames.complete(), 3);
        let mut seen = Vec::new();
        let mut take_two = |message: &[u8]| {
            if seen.len() == 2 {
                return Take::Later;
            }
            seen.push(message[0]);
            Take::Taken
        };
        assert_eq!(frames.feed(&[], LONGEST, &mut take_two), End::Held);
        assert_eq!(frames.feed(&framed(&[4; 12]), LONGEST, take_two), End::Held);
        let mut rest = Vec::new();
        let end = frames.feed(&[], LONGEST, |message| {
            rest.push(message[0]);
            Take::Taken
        });
        assert_eq!((seen, rest, end, frames.is_empty()), (vec![1, 2], vec![3, 4], End::Dry, true));
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let message = prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 12..60).prop_map(|message| framed(&message)),
            1 => prop::collection::vec(any::<u8>(), 12..600).prop_map(|message| framed(&message)),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ];
        prop::collection::vec(message, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        /// How the stream is cut changes neither the messages nor the end.
        #[test]
        fn any_cutting_gives_the_same(stream in stream(), cuts in prop::collection::vec(0..40usize, 0..40)) {
            prop_assert_eq!(run(&stream, &cuts), run(&stream, &[]));
        }

        /// Holding back at any points loses, doubles and reorders nothing.
        #[test]
        fn holding_back_keeps_the_order(
            stream in stream(),
            cuts in prop::collection::vec((0..40usize, 0..4usize), 1..60),
        ) {
            let mut frames = Frames::default();
            let mut messages = Vec::new();
            let mut rest = &stream[..];
            let mut last = End::Dry;
            for (cut, allowed) in cuts.into_iter().chain([(stream.len(), usize::MAX)]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                let mut left = allowed;
                last = frames.feed(now, LONGEST, |message| {
                    if left == 0 {
                        return Take::Later;
                    }
                    left -= 1;
                    messages.push(message.to_vec());
                    Take::Taken
                });
                if !matches!(last, End::Dry | End::Held) {
                    break;
                }
            }
            let (expected, end, _) = run(&stream, &[]);
            prop_assert_eq!(last, end);
            prop_assert_eq!(messages, expected);
        }
    }
}
