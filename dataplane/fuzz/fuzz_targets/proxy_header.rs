//! Invariant: whatever bytes a proxy sends, the readers of its headers
//! - return, and do not panic;
//! - give the same header or the same fault however the bytes are cut;
//! - take no more than there is, nor more than 512 bytes;
//! - read what a writer makes of the header that they have read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Transport;
use wire::proxy::{Protocol, V2_MAX, write_v2};

fuzz_target!(|bytes: &[u8]| {
    for protocol in [Protocol::V1, Protocol::V2, Protocol::Spp] {
        let whole = protocol.parse(bytes).transpose();
        let mut settled = None;
        for end in 0..=bytes.len().min(V2_MAX + 8) {
            let now = protocol.parse(&bytes[..end]).transpose();
            assert!(settled.is_none() || settled == now);
            settled = now;
        }
        assert_eq!(settled, whole);
        let Some(Ok(header)) = whole else { continue };
        assert!(header.length <= bytes.len().min(V2_MAX) && header.tlvs.len() < header.length);
        if let (Some(source), Some(destination)) = (header.source, header.destination) {
            let mut out = [0; 64];
            let length = write_v2(&mut out, Transport::Udp, source, destination, &[], true);
            let again =
                Protocol::V2.parse(&out[..length]).ok().flatten().map(|header| (header.source, header.destination));
            assert_eq!(again, Some((header.source, header.destination)));
        }
    }
});
