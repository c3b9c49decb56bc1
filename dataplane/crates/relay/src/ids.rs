//! Unpredictable message IDs: the kernel's random bytes, fetched many at a time.
//!
//! A blind attacker has to guess the ID and the port of a pending query (RFC 5452 section 9.2), so both come from the kernel's generator.

const POOL: usize = 4096;

pub struct Ids {
    pool: Box<[u8; POOL]>,
    used: usize,
}

impl Default for Ids {
    fn default() -> Self {
        Ids { pool: Box::new([0; POOL]), used: POOL }
    }
}

impl Ids {
    /// 16 random bits. None when the kernel gives none; no query may leave then.
    pub fn draw(&mut self) -> Option<u16> {
        if self.used + 2 > POOL {
            getrandom::fill(&mut self.pool[..]).ok()?;
            self.used = 0;
        }
        let id = u16::from_ne_bytes([self.pool[self.used], self.pool[self.used + 1]]);
        self.used += 2;
        Some(id)
    }
}
