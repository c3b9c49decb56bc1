//! RDATA in canonical form: which types have names in it, and where.
//!
//! Compressed names are expanded in the types of which RFC 3597 section 4 says so; lower case is made of the names of the
//! types that RFC 4034 section 6.2 lists, without NSEC (RFC 6840 section 5.1). Types that are not listed are opaque.

use crate::name;

/// One part of the RDATA of a type.
#[derive(Clone, Copy)]
enum Part {
    /// So many bytes.
    Bytes(usize),
    /// A name that may be compressed.
    Name,
    /// A name that may not be compressed.
    Plain,
    /// A character string: a length byte and as many bytes.
    Text,
    /// A prefix length, the rest of an address, and a name if the length is not 0 (RFC 2874 section 3.1).
    A6,
    /// All that is left.
    Rest,
}

use Part::{A6, Bytes, Name, Plain, Rest, Text};

/// The parts of a type with names, or of a fixed length.
const fn parts(rtype: u16) -> Option<&'static [Part]> {
    Some(match rtype {
        1 => &[Bytes(4)],                          // A
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 => &[Name], // NS, MD, MF, CNAME, MB, MG, MR, PTR
        6 => &[Name, Name, Bytes(20)],             // SOA
        14 | 17 => &[Name, Name],                  // MINFO, RP
        15 | 18 | 21 => &[Bytes(2), Name],         // MX, AFSDB, RT
        24 => &[Bytes(18), Name, Rest],            // SIG
        26 => &[Bytes(2), Name, Name],             // PX
        28 => &[Bytes(16)],                        // AAAA
        30 => &[Name, Rest],                       // NXT
        33 => &[Bytes(6), Name],                   // SRV
        35 => &[Bytes(4), Text, Text, Text, Name], // NAPTR
        36 => &[Bytes(2), Plain],                  // KX
        38 => &[A6],                               // A6
        39 => &[Plain],                            // DNAME
        46 => &[Bytes(18), Plain, Rest],           // RRSIG
        _ => return None,
    })
}

/// Appends the RDATA in `start..end` in canonical form. `None`: it is not what the type says.
#[inline]
pub fn append(message: &[u8], rtype: u16, start: usize, end: usize, into: &mut Vec<u8>) -> Option<()> {
    // The type that most records have: four bytes as they are.
    if rtype == 1 && end - start == 4 {
        into.extend_from_slice(message.get(start..end)?);
        return Some(());
    }
    let Some(parts) = parts(rtype) else {
        into.extend_from_slice(message.get(start..end)?);
        return Some(());
    };
    // What lies behind the RDATA is none of its names'; what lies before may be pointed to.
    let message = message.get(..end)?;
    let mut at = start;
    for part in parts {
        at = match *part {
            Bytes(n) => copy(message, at, n, into)?,
            Name => name::append(message, at, into)?,
            Plain => name::append_plain(message, at, into)?,
            Text => copy(message, at, 1 + usize::from(*message.get(at)?), into)?,
            A6 => {
                let prefix = *message.get(at).filter(|&&prefix| prefix <= 128)?;
                let at = copy(message, at, 1 + usize::from((128 - prefix).div_ceil(8)), into)?;
                if prefix == 0 { at } else { name::append_plain(message, at, into)? }
            }
            Rest => copy(message, at, end - at, into)?,
        };
    }
    (at == end).then_some(())
}

fn copy(message: &[u8], at: usize, length: usize, into: &mut Vec<u8>) -> Option<usize> {
    into.extend_from_slice(message.get(at..at + length)?);
    Some(at + length)
}
