//! A keyed fingerprint of a question, so that a pending query remembers which answer is its own.
//!
//! 64 bits of SipHash-1-3 under a random key stand for the whole question; who does not know the key can't find another question with the
//! same fingerprint. Letters count without case, because some servers answer in the case of their zone file.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use wire::Question;

#[derive(Clone, Copy)]
pub struct Fingerprints {
    key: (u64, u64),
}

impl Fingerprints {
    /// With a fresh random key.
    ///
    /// # Errors
    /// When the kernel has no random bytes.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Fingerprints { key: (getrandom::u64()?, getrandom::u64()?) })
    }

    /// The fingerprint of a question; of none (a cookie-only query, RFC 7873 section 5.4) it is that of nothing.
    pub fn of(&self, question: Option<&Question<'_>>) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        if let Some(question) = question {
            let mut buffer = [0u8; 260];
            let length = question.name.len().min(255);
            for (to, from) in buffer.iter_mut().zip(&question.name[..length]) {
                *to = from.to_ascii_lowercase();
            }
            buffer[length..length + 2].copy_from_slice(&question.qtype.to_be_bytes());
            buffer[length + 2..length + 4].copy_from_slice(&question.qclass.to_be_bytes());
            hasher.write(&buffer[..length + 4]);
        }
        hasher.finish()
    }
}
