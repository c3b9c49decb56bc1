//! What an answer may cost at most. The defaults stop what can't be a zone, and nothing that is one: operators lower them.

/// Limits of each query's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of all messages, length prefixes included.
    pub bytes: u64,
    /// Records in answer sections.
    pub records: u64,
    pub messages: u64,
    /// Records of one owner and type. No DNS message holds more than 5,461: 12 bytes each, 65,535 in all.
    pub rrset: u64,
    /// From the query to the end of its answer. BIND's max-transfer-time-in is 120 minutes too.
    pub seconds: f64,
    /// Without a byte on the connection.
    pub idle: f64,
    /// Bytes that the connection must bring within `rate_seconds`; BIND's min-transfer-rate-in has the same numbers.
    pub rate_bytes: u64,
    pub rate_seconds: f64,
    /// Bytes of owner names that are kept for the verdict, with what finds them again; 0: none.
    pub names: usize,
    /// Bytes of an IXFR with several sequences that wait for its end.
    pub held: usize,
    /// Whether the answer to an IXFR may lead to a serial that is not newer than the query's.
    pub allow_older: bool,
    /// Whether a transfer may have records outside the zone, which are not counted as its own.
    pub allow_out_of_zone: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            records: 100_000_000,
            messages: 100_000_000,
            rrset: 5_461,
            seconds: 7_200.0,
            idle: 60.0,
            rate_bytes: 10_240,
            rate_seconds: 300.0,
            names: 0,
            held: 16 << 20,
            allow_older: false,
            allow_out_of_zone: false,
        }
    }
}
