//! Why an answer was not accepted. The label stands in verdicts, metrics and events; docs/guard.md explains each.

wire::labelled! {
    /// What was wrong with the answer to a query, or nothing.
    pub enum Reason {
        /// Every check has passed.
        Accepted = "accepted",

        // The message.
        /// QR is not set: not an answer.
        NotResponse = "not-response",
        /// An opcode other than QUERY.
        Opcode = "opcode",
        /// TC is set in a message over TCP (RFC 5936 section 2.2.1).
        TcBit = "tc-bit",
        /// The first message repeats another question than was asked, or none; or a later one another (RFC 5936 section
        /// 2.2.2).
        Question = "question",
        /// An RCODE in a message behind the first (RFC 5936 section 2.2).
        LaterError = "later-error",
        /// A record of a transfer in another section than that for answers, except OPT, TSIG and SIG(0) in the additional
        /// section (RFC 5936 sections 2.2.4 and 2.2.5). PowerDNS takes it into the zone, and a SOA there for the end.
        Section = "section",
        /// Bytes behind the last record.
        TrailingBytes = "trailing-bytes",

        // Its records.
        /// An owner name that is cut, too long, of an unknown label type, or whose pointer leads not strictly backwards
        /// (RFC 1035 sections 3.1 and 4.1.4).
        RecordName = "record-name",
        /// A record runs past the end of the message.
        RecordCut = "record-cut",
        /// RDATA that is not what its type says, or a name in it that is none.
        Rdata = "rdata",
        /// OPT, TSIG or a type that can only be asked for stands among the zone's records.
        MetaType = "meta-type",
        /// A record of another class than the zone's.
        Class = "class",
        /// A record whose owner is not in the zone.
        OutOfZone = "out-of-zone",

        // The transfer.
        /// It does not begin with the zone's SOA (RFC 5936 section 2.2, RFC 1995 section 4).
        NoSoa = "no-soa",
        /// A SOA record whose owner is not the zone's apex.
        SoaOwner = "soa-owner",
        /// A SOA inside or at the end that is not the one at the beginning: versions are mixed.
        SoaChanged = "soa-changed",
        /// Records behind the closing SOA.
        AfterEnd = "after-end",
        /// Sequences of an IXFR that don't lead from the query's serial, one by one, to the first SOA's (RFC 1995
        /// section 4).
        IxfrChain = "ixfr-chain",
        /// A zone or differences whose serial is not newer than the one the node has (RFC 1982).
        SerialNotNewer = "serial-not-newer",
        /// An IXFR over UDP that does not end in its one message (RFC 1995 section 2).
        DatagramIncomplete = "datagram-incomplete",

        // The signature.
        /// TSIG is not the last record, there are two, or it can't be read (RFC 8945 section 5.1).
        TsigForm = "tsig-form",
        /// The query was signed; the first message of its answer, or the last, is not (RFC 8945 section 5.3.1).
        TsigMissing = "tsig-missing",
        /// More than 99 unsigned messages between two signed ones (RFC 8945 section 5.3.1).
        TsigGap = "tsig-gap",
        /// Signed with another key or algorithm than the query (RFC 8945 section 5.3).
        TsigKey = "tsig-key",
        /// The signature does not hold.
        TsigMac = "tsig-mac",
        /// A signature cut to less than 10 bytes or half of its hash, or longer than it (RFC 8945 section 5.2.2.1).
        TsigTruncated = "tsig-truncated",
        /// The signature is good and its time is not: one of the clocks is wrong (RFC 8945 section 5.2.3).
        Clock = "clock",

        // Limits.
        /// More bytes than a transfer may have.
        TooManyBytes = "too-many-bytes",
        /// More records than a transfer may have.
        TooManyRecords = "too-many-records",
        /// More messages than a transfer may have, or a thousand without a record one behind the other.
        TooManyMessages = "too-many-messages",
        /// More records of one owner and type than an RRset may have.
        RrsetTooLarge = "rrset-too-large",
        /// Longer under way than a transfer may be.
        TooLong = "too-long",
        /// Fewer bytes within an interval than a primary must send.
        TooSlow = "too-slow",
        /// Nothing came for too long.
        Idle = "idle",

        // The connection.
        /// The connection ended before the answer did.
        Cut = "cut",
    }
}

wire::labelled! {
    /// What a primary sent that belongs to no query.
    pub enum Fault {
        /// A message without a whole header.
        ShortMessage = "short-message",
        /// Nothing was asked under this ID, or its answer was complete.
        UnknownId = "unknown-id",
        /// A datagram that is not an answer, or to another question: it may be forged, and the query waits on.
        WrongDatagram = "wrong-datagram",
        /// A datagram whose signature is missing or does not hold: it may be forged too, and the query waits on (RFC 8945
        /// section 5.4).
        UnsignedDatagram = "unsigned-datagram",
    }
}

impl Reason {
    /// Whether it says who sent a message: one that has it may be another's.
    #[must_use]
    pub const fn is_of_signature(self) -> bool {
        matches!(self, Self::TsigForm | Self::TsigMissing | Self::TsigKey | Self::TsigMac | Self::TsigTruncated)
    }
}

/// A reason with words for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub reason: Reason,
    pub detail: String,
}

impl Wrong {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
