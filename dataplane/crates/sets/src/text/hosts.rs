//! Lists in the form of /etc/hosts (hosts(5)): an address and names on a line. The address says where those go who
//! trust the file; here only the names matter.

use super::Stop;
use super::entries::{Entries, prefix, words};
use crate::builder::Why;

/// Names of the machine itself, which such lists carry along so that they can replace the file.
const OWN: [&[u8]; 12] = [
    b"localhost",
    b"localhost.localdomain",
    b"local",
    b"broadcasthost",
    b"ip6-localhost",
    b"ip6-loopback",
    b"ip6-localnet",
    b"ip6-mcastprefix",
    b"ip6-allnodes",
    b"ip6-allrouters",
    b"ip6-allhosts",
    b"0.0.0.0",
];

pub(crate) fn line(line: &[u8], entries: &mut Entries<'_>) -> Result<(), Stop> {
    let mut words = words(line);
    let Some(address) = words.next() else { return Ok(()) };
    // A zone of a link-local address, as in fe80::1%lo0, is of no interest.
    let address = address.split(|byte| *byte == b'%').next().unwrap_or(address);
    if prefix(address).is_none() {
        return Err(Why::NoAddress.into());
    }
    let mut result = Err(Why::NoName.into());
    for name in words {
        if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            result = Ok(());
            continue;
        }
        // One that is no name leaves the others of the line.
        match entries.add_name(name) {
            Ok(()) if result == Err(Stop::Garbage(Why::NoName)) => result = Ok(()),
            Ok(()) => {}
            Err(stop) => return Err(stop),
        }
    }
    result
}
