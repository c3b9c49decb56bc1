//! Why the gateway decided as it did: one enum for the wire check, the policy, shedding and the answers of backends.

crate::labelled! {
    /// Each member is one row, or one part of a row, of the wire check, or one decision of the policy or the relay.
    pub enum Reason {
        /// Nothing is wrong; the message was forwarded.
        Ok = "ok",

        // The header.
        /// Fewer than the 12 bytes of a header (RFC 1035 section 4.1.1).
        TooShort = "too-short",
        /// Larger than a datagram, or a message of its opcode over a stream, may be; or the datagram was cut by the
        /// kernel.
        TooLarge = "too-large",
        /// QR is set: not a query. Answering it could start a loop.
        IsResponse = "is-response",
        /// TC is set in a query, and the checks say that this is not let in.
        TcBit = "tc-bit",
        /// An opcode other than QUERY, NOTIFY and UPDATE.
        Opcode = "opcode",
        /// RCODE is not zero in a query.
        RcodeSet = "rcode-set",
        /// Not exactly one question (RFC 9619), and not a cookie-only query (RFC 7873 section 5.4).
        QuestionCount = "question-count",
        /// Records in the answer section of a query, or more than one in that of a NOTIFY.
        AnswerCount = "answer-count",
        /// Records in the authority section of other than an IXFR or UPDATE, or more than 64 in that of an IXFR.
        AuthorityCount = "authority-count",
        /// More than two records (OPT and a signature) in the additional section of a QUERY or NOTIFY.
        AdditionalCount = "additional-count",

        // The question.
        /// QNAME runs past the end of the message.
        NameCut = "name-cut",
        /// A label type 01 or 10 in QNAME (RFC 6891 section 5).
        NameLabelType = "name-label-type",
        /// A compression pointer in QNAME: there is nothing before it to point to.
        NameCompressed = "name-compressed",
        /// QNAME is longer than 255 bytes (RFC 1035 section 2.3.4).
        NameTooLong = "name-too-long",
        /// QTYPE or QCLASS runs past the end of the message.
        QuestionCut = "question-cut",

        // The records.
        /// An owner name that is too long, cut, of an unknown label type, or whose pointer leads not strictly
        /// backwards.
        RecordName = "record-name",
        /// A record runs past the end of the message.
        RecordCut = "record-cut",
        /// OPT outside the additional section (RFC 6891 section 6.1.1).
        OptMisplaced = "opt-misplaced",
        /// A second OPT (RFC 6891 section 6.1.1).
        OptDuplicate = "opt-duplicate",
        /// The owner of OPT is not the root (RFC 6891 section 6.1.2).
        OptOwner = "opt-owner",
        /// TSIG or SIG(0) is not the last record of the additional section (RFC 8945 section 5.1, RFC 2931 section
        /// 3.1).
        SignatureMisplaced = "signature-misplaced",
        /// The class of TSIG is not ANY (RFC 8945 section 4.2).
        TsigClass = "tsig-class",
        /// An EDNS version above 0 (RFC 6891 section 6.1.3): BADVERS.
        EdnsVersion = "edns-version",
        /// The lengths of the EDNS options do not add up to that of OPT.
        EdnsOptions = "edns-options",
        /// The COOKIE option is neither 8 nor 16 to 40 bytes long (RFC 7873 section 5.2.2).
        EdnsCookie = "edns-cookie",
        /// Bytes behind the last record.
        TrailingBytes = "trailing-bytes",

        // Types and classes.
        /// QTYPE 0, which is reserved (RFC 6895 section 3.1).
        QtypeZero = "qtype-zero",
        /// A type that can't be asked for: OPT or TSIG, or in a NOTIFY any meta type.
        QtypeMeta = "qtype-meta",
        /// TKEY: keys are not negotiated through the gateway.
        TkeyRefused = "tkey-refused",
        /// AXFR over UDP, which is not defined (RFC 5936 section 4.2).
        AxfrOverUdp = "axfr-over-udp",
        /// ANY over UDP (RFC 8482).
        AnyOverUdp = "any-over-udp",
        /// The zone section of an UPDATE is not of type SOA (RFC 2136 section 3.1.1).
        UpdateZoneType = "update-zone-type",
        /// Class CH while the checks do not pass it.
        ChaosRefused = "chaos-refused",
        /// A class other than IN and CH.
        ClassRefused = "class-refused",

        // The source.
        /// Source port 0, or that of a service that would answer our reply: echo, daytime, chargen, time; an error to
        /// kpasswd.
        SourcePort = "source-port",
        /// A source that no query can come from: unspecified, multicast, broadcast, loopback from outside, IPv4 within
        /// IPv6.
        SourceAddress = "source-address",
        /// Our own address and port (LAND).
        OwnAddress = "own-address",

        // The proxy before us: who may tell us the client's address.
        /// From none of the proxies that the listener knows.
        ProxySource = "proxy-source",
        /// No header of the protocol that the listener accepts.
        ProxyMissing = "proxy-missing",
        /// A header that is cut, of an unknown version, command or family, or whose lengths or checksum do not hold.
        ProxyMalformed = "proxy-malformed",
        /// A header alone, which says who the messages that follow are from. There is nothing to answer.
        ProxySession = "proxy-session",

        // The policy.
        /// No served zone has this name.
        NotServed = "not-served",
        /// AXFR or IXFR where the listener does not allow transfers.
        TransferRefused = "transfer-refused",
        /// NOTIFY where the listener does not allow it; for a zone of `[[zones]]`, from who may not send it.
        NotifyRefused = "notify-refused",
        /// NOTIFY for a zone of `[[zones]]`, taken: every backend of the zone is told.
        Notify = "notify",
        /// More NOTIFY than one sender, or all of them, may send.
        NotifyLimited = "notify-limited",
        /// UPDATE where the listener does not allow it.
        UpdateRefused = "update-refused",
        /// A list knows the client or the name.
        Listed = "listed",
        /// A rule drops or answers it.
        Rule = "rule",
        /// Over a rate limit.
        RateLimited = "rate-limited",
        /// Answered by the gateway: a query for nothing but a cookie (RFC 7873 section 5.4).
        CookieOnly = "cookie-only",
        /// A query over UDP without a valid cookie, where one is required.
        CookieRequired = "cookie-required",
        /// An error reply was due, and the budget of error replies is spent.
        ErrorBudget = "error-budget",
        /// From a blocked prefix, or for a name below a blocked one.
        Blocked = "blocked",

        // Shedding: the message was good, the gateway could not carry it.
        /// No backend is healthy.
        BackendsDown = "backends-down",
        /// The backends have as many unanswered queries as they answer in time: none more of a verified client.
        OverloadVerified = "overload-verified",
        /// The same, of a client that is known.
        OverloadKnown = "overload-known",
        /// The same, of a client of which little is known.
        OverloadOrdinary = "overload-ordinary",
        /// The same, of a client that is new.
        OverloadNew = "overload-new",
        /// No free place in the flow table.
        FlowTableFull = "flow-table-full",
        /// The kernel, or the connection to the backend, took no more.
        SendBufferFull = "send-buffer-full",
        /// The datagram to the backend could not be sent.
        BackendUnreachable = "backend-unreachable",
        /// With the header for its backend, the query is larger than a datagram may be.
        ProxyNoRoom = "proxy-no-room",
        /// There is no connection to the backend, or it broke before the query was sent.
        BackendConnection = "backend-connection",
        /// NOTIFY that was taken, while as many as may wait did.
        NotifyQueueFull = "notify-queue-full",
        /// More unanswered queries than a connection may have.
        TooManyInFlight = "too-many-in-flight",

        // The answers of backends; counted apart, they are no received queries.
        /// Fewer than the 12 bytes of a header.
        AnswerShort = "answer-short",
        /// QR is not set.
        AnswerNotResponse = "answer-not-response",
        /// More than one question.
        AnswerQuestionCount = "answer-question-count",
        /// The question does not parse.
        AnswerQuestion = "answer-question",
        /// No query waits under this ID.
        AnswerUnknownId = "answer-unknown-id",
        /// Not the question that was asked.
        AnswerWrongQuestion = "answer-wrong-question",
        /// Not from the backend that was asked.
        AnswerWrongSource = "answer-wrong-source",
        /// Over a response limit.
        ResponseLimited = "response-limited",
        /// Not behind the SPP header that its query had.
        AnswerWrongHeader = "answer-wrong-header",
        /// The client is gone.
        AnswerClientGone = "answer-client-gone",
    }
}

impl Reason {
    /// Whether no sane client sends such a message: the form is broken. What is merely not answered here, such as an
    /// unknown opcode or EDNS version, a class or a type, is not malformed.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        matches!(
            self,
            Self::TooShort
                | Self::TooLarge
                | Self::IsResponse
                | Self::TcBit
                | Self::RcodeSet
                | Self::QuestionCount
                | Self::AnswerCount
                | Self::AuthorityCount
                | Self::AdditionalCount
                | Self::NameCut
                | Self::NameLabelType
                | Self::NameCompressed
                | Self::NameTooLong
                | Self::QuestionCut
                | Self::RecordName
                | Self::RecordCut
                | Self::OptMisplaced
                | Self::OptDuplicate
                | Self::OptOwner
                | Self::SignatureMisplaced
                | Self::TsigClass
                | Self::EdnsOptions
                | Self::EdnsCookie
                | Self::TrailingBytes
                | Self::QtypeZero
                | Self::QtypeMeta
                | Self::AxfrOverUdp
                | Self::UpdateZoneType
        )
    }

    /// Whether it is a row of the wire check, the source included.
    #[must_use]
    pub const fn is_of_wire_check(self) -> bool {
        (self as u8) >= Self::TooShort as u8 && (self as u8) <= Self::OwnAddress as u8
    }

    /// The reason with this label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.label() == label)
    }
}
