//! A small builder of messages, good and bad: the counts are what was added unless they are set.

#![allow(dead_code, reason = "each test file uses its part")]

/// Flags of a query with the given opcode.
pub const fn opcode(code: u16) -> u16 {
    code << 11
}

#[derive(Clone, Debug, Default)]
pub struct Message {
    id: u16,
    flags: u16,
    counts: [u16; 4],
    body: Vec<u8>,
}

/// A name from its dotted form, in wire form.
pub fn name(dotted: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in dotted.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).expect("a label of the test is short"));
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

impl Message {
    pub fn with_flags(flags: u16) -> Self {
        Self { id: 0x1234, flags, ..Self::default() }
    }

    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    /// The usual query: `www.example.com`, class IN.
    pub fn query(qtype: u16) -> Self {
        Self::with_flags(0x0100).question("www.example.com", qtype, 1)
    }

    pub fn question(self, dotted: &str, qtype: u16, qclass: u16) -> Self {
        self.raw_question(&name(dotted), qtype, qclass)
    }

    pub fn raw_question(mut self, name: &[u8], qtype: u16, qclass: u16) -> Self {
        self.counts[0] += 1;
        self.body.extend_from_slice(name);
        self.body.extend_from_slice(&qtype.to_be_bytes());
        self.body.extend_from_slice(&qclass.to_be_bytes());
        self
    }

    /// A record in `section`: 1 answer, 2 authority, 3 additional.
    pub fn record(mut self, section: usize, owner: &[u8], (rtype, class): (u16, u16), ttl: u32, rdata: &[u8]) -> Self {
        self.counts[section] += 1;
        self.body.extend_from_slice(owner);
        self.body.extend_from_slice(&rtype.to_be_bytes());
        self.body.extend_from_slice(&class.to_be_bytes());
        self.body.extend_from_slice(&ttl.to_be_bytes());
        self.body.extend_from_slice(&u16::try_from(rdata.len()).expect("short rdata").to_be_bytes());
        self.body.extend_from_slice(rdata);
        self
    }

    /// OPT with a UDP size of 1232 and these options.
    pub fn opt(self, options: &[u8]) -> Self {
        self.record(3, &[0], (41, 1232), 0, options)
    }

    /// TSIG with RDATA of a plausible length; nobody here verifies it.
    pub fn tsig(self) -> Self {
        self.record(3, &name("key.example"), (250, 255), 0, &[0; 40])
    }

    pub fn soa(self, section: usize) -> Self {
        self.record(section, &[0xc0, 12], (6, 1), 0, &[0; 22])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.body.extend_from_slice(bytes);
        self
    }

    pub fn counts(mut self, counts: [u16; 4]) -> Self {
        self.counts = counts;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + self.body.len());
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        for count in self.counts {
            bytes.extend_from_slice(&count.to_be_bytes());
        }
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// An EDNS option.
pub fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = code.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u16::try_from(value.len()).expect("short value").to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}
