//! Lists: no source makes a reader panic, what was built can be read, and no file makes a look-up panic.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use sets::text::{Format, Kind, Source, read};
use sets::{List, ListBuilder};

fn ask(list: &List<impl AsRef<[u8]>>, bytes: &[u8]) {
    let _ = list.name(bytes, bytes.len() as u8);
    if let Some(address) = bytes.first_chunk::<16>() {
        let _ = list.client((*address).into());
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[how, more], text)) = data.split_first_chunk() else { return };
    let format = match how % 6 {
        0 => Format::Plain,
        1 => Format::Hosts,
        2 => Format::Csv(usize::from(more % 3)),
        3 => Format::Rpz(None),
        4 => Format::Rpz(Some(b"\x03rpz\0".to_vec())),
        _ => Format::Transfer,
    };
    let kind = [Kind::Either, Kind::Names, Kind::Prefixes][usize::from(how / 6 % 3)];
    let source = Source { format, kind, subdomains: more & 1 != 0, strict: more & 2 != 0 };
    let mut builder = ListBuilder::new(10_000);
    if read(&mut &text[..], &source, &mut builder).is_ok() {
        let mut file = Cursor::new(Vec::new());
        builder.write(&mut file, 0).expect("memory takes it");
        ask(&List::open(file.into_inner()).expect("what was built can be read"), text);
    }
    if let Ok(list) = List::open(text) {
        ask(&list, text);
    }
});
