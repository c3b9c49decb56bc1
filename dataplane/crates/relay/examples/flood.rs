//! A flood of queries from many sources, at a steady rate, for a bounded time: what `bench/measure/attack.py` attacks with.
//!
//! Each datagram has its own source address, taken at random from a prefix that is local to the machine (AnyIP:
//! `ip route add local PREFIX dev lo`), so the answers come back to it and are dropped: nobody else is hit. It sends to
//! private and loopback addresses only, and stops by itself after at most a minute.
//!
//! ```text
//! flood KIND TARGET NAME SOURCES/BITS RATE SECONDS      KIND: valid | random | malformed | any
//! ```

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use relay::sys::{self, BATCH, Buffers, Local, Outgoing};

const LONGEST: f64 = 60.0;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// One existing name.
    Valid,
    /// A fresh random label below the name.
    Random,
    /// Headers and names that no client sends.
    Malformed,
    /// QTYPE ANY for the name.
    Any,
}

struct Flood {
    kind: Kind,
    target: SocketAddrV4,
    name: Vec<u8>,
    sources: Ipv4Addr,
    bits: u32,
    rate: u64,
    seconds: f64,
}

/// SplitMix64: quick, and the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

fn main() -> Result<(), String> {
    let flood = read(&std::env::args().skip(1).collect::<Vec<_>>())?;
    let sent = flood.run().map_err(|error| error.to_string())?;
    println!("{{\"sent\": {sent}}}");
    Ok(())
}

fn read(words: &[String]) -> Result<Flood, String> {
    let [kind, target, name, sources, rate, seconds] = words else {
        return Err("flood KIND TARGET NAME SOURCES/BITS RATE SECONDS".to_owned());
    };
    let kind = match kind.as_str() {
        "valid" => Kind::Valid,
        "random" => Kind::Random,
        "malformed" => Kind::Malformed,
        "any" => Kind::Any,
        _ => return Err(format!("{kind:?} is not valid, random, malformed or any")),
    };
    let target: SocketAddrV4 = target.parse().map_err(|_| format!("{target:?} is no IPv4 address with a port"))?;
    if !target.ip().is_private() && !target.ip().is_loopback() {
        return Err(format!("{target} is neither private nor loopback: it may not be flooded"));
    }
    let (base, bits) = sources.split_once('/').ok_or("write the sources as 10.128.0.0/9")?;
    let seconds: f64 = seconds.parse().map_err(|_| "the seconds are no number")?;
    Ok(Flood {
        kind,
        target,
        name: wire_name(name),
        sources: base.parse().map_err(|_| "the sources are no IPv4 prefix")?,
        bits: bits.parse().ok().filter(|bits| *bits <= 32).ok_or("a prefix has 0 to 32 bits")?,
        rate: rate.parse().map_err(|_| "the rate is no number")?,
        seconds: seconds.clamp(0.0, LONGEST),
    })
}

fn wire_name(dotted: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in dotted.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len().min(63) as u8);
        wire.extend(label.bytes().take(63));
    }
    wire.push(0);
    wire
}

impl Flood {
    /// Returns how many datagrams the kernel took.
    fn run(&self) -> std::io::Result<u64> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let mut buffers = Buffers::new(512, 0);
        let mut numbers = Numbers(0x5eed);
        let (begin, mut sent, mut tried) = (Instant::now(), 0, 0);
        while begin.elapsed().as_secs_f64() < self.seconds {
            let due = (begin.elapsed().as_secs_f64() * self.rate as f64) as u64;
            if due < tried + BATCH as u64 {
                std::thread::park_timeout(Duration::from_micros(100));
                continue;
            }
            // What a stalled machine owes beyond a few batches is forgotten: a late burst would be another flood.
            tried = tried.max(due.saturating_sub(16 * BATCH as u64)) + BATCH as u64;
            sent += self.send_batch(socket.as_raw_fd(), &mut buffers, &mut numbers);
        }
        Ok(sent)
    }

    fn send_batch(&self, fd: i32, buffers: &mut Buffers, numbers: &mut Numbers) -> u64 {
        let mut messages = Vec::with_capacity(BATCH);
        let mut pieces = Vec::with_capacity(BATCH);
        for slot in 0..BATCH {
            let length = self.write(buffers.slot(slot), numbers);
            let hosts = u32::MAX.checked_shr(self.bits).unwrap_or(0);
            let address = Ipv4Addr::from_bits(self.sources.to_bits() | (numbers.next() as u32 & hosts));
            let local = (self.bits < 32 || !self.sources.is_unspecified())
                .then_some(Local { address: address.into(), interface: 0 });
            messages.push(Outgoing { to: SocketAddr::V4(self.target), local, first: slot, pieces: 1 });
            pieces.push((slot, sys::HEADROOM, length));
        }
        // A full socket buffer, or the ICMP answer to an earlier one: this batch is not sent, the next one may be.
        sys::send(fd, buffers, &messages, &pieces).unwrap_or(0) as u64
    }

    /// One message; returns its length.
    fn write(&self, out: &mut [u8], numbers: &mut Numbers) -> usize {
        let mut message = vec![0; 12];
        let id = numbers.next();
        message[..2].copy_from_slice(&id.to_be_bytes()[..2]);
        message[2] = 1; // RD, as stubs and careless tools send it
        message[5] = 1;
        if self.kind == Kind::Random {
            message.push(12);
            let letters = numbers.next();
            message.extend((0..12).map(|index| b'a' + (letters >> (5 * index) & 15) as u8));
        }
        message.extend_from_slice(&self.name);
        message.extend_from_slice(&[0, if self.kind == Kind::Any { 255 } else { 1 }, 0, 1]);
        if self.kind == Kind::Malformed {
            damage(&mut message, numbers.next());
        }
        out[..message.len()].copy_from_slice(&message);
        message.len()
    }
}

/// One of the faults that floods show: an unknown opcode, a count that is not true, a broken name, a cut message.
fn damage(message: &mut Vec<u8>, choice: u64) {
    match choice % 5 {
        0 => message[2] |= 0x30,
        1 => message[5] = 7,
        2 => message[7] = 3,
        3 => message[12] = 0xC0,
        _ => message.truncate(9 + (choice >> 8) as usize % (message.len() - 9)),
    }
}
