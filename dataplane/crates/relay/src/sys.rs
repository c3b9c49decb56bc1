//! The only file that talks to the kernel: batched datagrams, shared memory, the clock.
//!
//! A batch is up to 64 datagrams for one `recvmmsg` or `sendmmsg`. Datagrams stay in the buffer that they arrived in; what is sent
//! points there, so nothing is copied. Several datagrams of equal length to one address can leave as one message with `UDP_SEGMENT`
//! (generic segmentation offload, Linux 4.18), which walks the network stack once for all of them.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::AtomicU64;

pub mod door;
mod mapping;
#[cfg(test)]
pub(crate) mod tests;

pub use mapping::Mapping;

/// Datagrams of one batch. More gain nothing: the cost of the call is spread thin by then.
pub const BATCH: usize = 64;

/// Bytes before each received datagram, for the header of a proxy.
pub const HEADROOM: usize = wire::proxy::HEADROOM;

/// Segments that one message may carry (UDP_MAX_SEGMENTS of older kernels).
pub const MAX_SEGMENTS: usize = 64;

/// Room for the control messages of one datagram: an address (`in6_pktinfo`, 40 bytes with its header) and a segment size (24).
const CONTROL: usize = 64;

/// Nanoseconds of CLOCK_MONOTONIC: the same in all processes of a machine, never set back.
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds by which the calendar (time since 1970) is ahead of the monotonic clock.
pub fn offset() -> u64 {
    clock(libc::CLOCK_REALTIME).wrapping_sub(now())
}

fn clock(which: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is valid, and clock_gettime fills it; these clocks can't fail on Linux.
    let time = unsafe {
        libc::clock_gettime(which, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A memory file (`memfd`) that several processes map. It is seen as 64-bit atomics and as nothing else. It is sealed in its size: a mapping
/// of a file that another process shrinks is memory that kills whoever touches it (SIGBUS).
pub struct SharedMemory {
    start: *mut AtomicU64,
    words: usize,
    fd: RawFd,
}

// SAFETY: the memory is only ever seen as atomics.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// A new one of `words` zeroes. Its descriptor is closed on exec; who hands it down passes it on explicitly.
    ///
    /// # Errors
    /// What memfd_create, ftruncate, fcntl or mmap say.
    pub fn create(words: usize) -> io::Result<Self> {
        // SAFETY: the name is a C string; the result is checked.
        let fd = unsafe { libc::memfd_create(c"zonegate".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: fd is ours.
        let sized = unsafe {
            libc::ftruncate(fd, (words * 8) as libc::off_t) == 0 && libc::fcntl(fd, libc::F_ADD_SEALS, seals) == 0
        };
        if !sized {
            let error = io::Error::last_os_error();
            // SAFETY: fd is ours and is not used again.
            unsafe { libc::close(fd) };
            return Err(error);
        }
        Self::map(fd, words)
    }

    /// Map the memory behind an inherited descriptor, which is taken over: it is closed if it can't be mapped.
    ///
    /// # Errors
    /// What fstat or mmap say; `InvalidData` if it is empty or not sealed.
    pub fn attach(fd: RawFd) -> io::Result<Self> {
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the pointer is valid for a stat.
        if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fstat filled it.
        let size = unsafe { stat.assume_init() }.st_size;
        let words = usize::try_from(size).unwrap_or(0) / 8;
        // SAFETY: fcntl only reads the seals; a file that can have none is an error, which is -1.
        let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
        if words == 0 || seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
            // SAFETY: fd was given to us and is not used again.
            unsafe { libc::close(fd) };
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no shared memory: empty, or not sealed"));
        }
        Self::map(fd, words)
    }

    fn map(fd: RawFd, words: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh shared mapping of a file of at least this size; the result is checked.
        let start = unsafe { libc::mmap(ptr::null_mut(), words * 8, protection, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            // SAFETY: fd was given to us and is not used again.
            unsafe { libc::close(fd) };
            return Err(error);
        }
        Ok(SharedMemory { start: start.cast(), words, fd })
    }

    pub fn fd(&self) -> RawFd {
        self.fd
    }
}

impl engine::Memory for SharedMemory {
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, has this many words, of which the seal lets nobody take any, and lives as long as self.
        unsafe { std::slice::from_raw_parts(self.start, self.words) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this size; the descriptor is ours.
        unsafe {
            libc::munmap(self.start.cast(), self.words * 8);
            libc::close(self.fd);
        }
    }
}

/// The address of ours that a datagram was sent to, and the interface it came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub address: IpAddr,
    pub interface: u32,
}

/// What came with a received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub length: usize,
    /// It was longer than the buffer (MSG_TRUNC).
    pub truncated: bool,
    pub from: SocketAddr,
    /// Only on sockets with IP_PKTINFO or IPV6_RECVPKTINFO.
    pub local: Option<Local>,
}

/// Buffers for one batch, and what came into them. Before each datagram is room for a header.
pub struct Buffers {
    bytes: Box<[u8]>,
    stride: usize,
    capacity: usize,
    names: Box<[libc::sockaddr_storage; BATCH]>,
    controls: Box<[[u64; CONTROL / 8]; BATCH]>,
}

impl Buffers {
    /// Room for 64 datagrams of up to `capacity` bytes, and `slack` bytes behind each that a reply may use.
    pub fn new(capacity: usize, slack: usize) -> Self {
        // Three cache lines beyond a round number: else all headers would share one set of the cache.
        let stride = (HEADROOM + capacity + slack).next_multiple_of(64) + 192;
        // SAFETY: all zeroes is a valid sockaddr_storage.
        let name: libc::sockaddr_storage = unsafe { mem::zeroed() };
        Buffers {
            bytes: vec![0; stride * BATCH].into_boxed_slice(),
            stride,
            capacity,
            names: Box::new([name; BATCH]),
            controls: Box::new([[0; CONTROL / 8]; BATCH]),
        }
    }

    /// The buffer of one datagram, with its slack.
    pub fn slot(&mut self, index: usize) -> &mut [u8] {
        &mut self.whole(index)[HEADROOM..]
    }

    /// The same with the room before it: what was received begins at [`HEADROOM`].
    pub fn whole(&mut self, index: usize) -> &mut [u8] {
        let start = index * self.stride;
        &mut self.bytes[start..start + self.stride]
    }

    /// One `recvmmsg` that does not wait. What came is pushed to `arrivals`, in the order of the slots.
    ///
    /// # Errors
    /// Of the call; "would block" is not one, it is nothing received.
    pub fn receive(&mut self, fd: RawFd, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        arrivals.clear();
        // SAFETY: all zeroes is a valid iovec and mmsghdr.
        let (mut vectors, mut headers) =
            unsafe { (mem::zeroed::<[libc::iovec; BATCH]>(), mem::zeroed::<[libc::mmsghdr; BATCH]>()) };
        let base = self.bytes.as_mut_ptr();
        for index in 0..BATCH {
            vectors[index] = libc::iovec {
                // SAFETY: the slot lies within `bytes`.
                iov_base: unsafe { base.add(index * self.stride + HEADROOM) }.cast(),
                iov_len: self.capacity,
            };
            let header = &mut headers[index].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[index]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &mut vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].as_mut_ptr().cast();
            header.msg_controllen = CONTROL as _;
        }
        // SAFETY: every header points to memory that outlives the call.
        let count = unsafe {
            libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as libc::c_uint, libc::MSG_DONTWAIT as _, ptr::null_mut())
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(error) };
        }
        for (index, received) in headers.iter().enumerate().take(count as usize) {
            let header = &received.msg_hdr;
            // No UDP socket leaves the name out; the unspecified address would be dropped as a forged one.
            let from = read_name(&self.names[index]).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
            arrivals.push(Arrival {
                length: (received.msg_len as usize).min(self.capacity),
                truncated: header.msg_flags & libc::MSG_TRUNC != 0,
                from,
                local: read_local(header),
            });
        }
        Ok(())
    }
}

/// A message to send: one datagram, or several of equal length (the last may be shorter) to the same address.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    pub to: SocketAddr,
    /// The address to send from, on a wildcard socket.
    pub local: Option<Local>,
    /// Where in the list of pieces it begins, and how many pieces it has. More than one needs UDP_SEGMENT.
    pub first: usize,
    pub pieces: usize,
}

/// A piece: the slot that the datagram stands in, where in the whole of it, and its length.
pub type Piece = (usize, usize, usize);

/// One `sendmmsg` that does not wait, for up to 64 messages.
///
/// Returns how many messages were taken, in order.
///
/// # Errors
/// Of the first message; errors of later ones show when they are first.
pub fn send(fd: RawFd, buffers: &Buffers, messages: &[Outgoing], pieces: &[Piece]) -> io::Result<usize> {
    // SAFETY: all zeroes is valid for these C structures.
    let (mut vectors, mut headers, mut names, mut controls) = unsafe {
        (
            mem::zeroed::<[libc::iovec; BATCH]>(),
            mem::zeroed::<[libc::mmsghdr; BATCH]>(),
            mem::zeroed::<[libc::sockaddr_in6; BATCH]>(),
            mem::zeroed::<[[u64; CONTROL / 8]; BATCH]>(),
        )
    };
    assert!(messages.len() <= BATCH && pieces.len() <= BATCH, "a batch is at most 64 datagrams");
    for (vector, &(slot, start, length)) in vectors.iter_mut().zip(pieces) {
        let start = slot * buffers.stride + start;
        let datagram = &buffers.bytes[start..start + length];
        *vector = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: length };
    }
    for (index, message) in messages.iter().enumerate() {
        let header = &mut headers[index].msg_hdr;
        header.msg_name = ptr::from_mut(&mut names[index]).cast();
        header.msg_namelen = write_name(&mut names[index], message.to);
        let own = &mut vectors[message.first..message.first + message.pieces];
        header.msg_iov = own.as_mut_ptr();
        header.msg_iovlen = own.len() as _;
        let segment = (message.pieces > 1).then(|| pieces[message.first].2 as u16);
        write_control(header, &mut controls[index], message.local, segment);
    }
    // SAFETY: every header points to memory that outlives the call; the datagrams are only read.
    let sent =
        unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), messages.len() as libc::c_uint, libc::MSG_DONTWAIT as _) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// Take one ICMP error from the error queue of a socket with IP_RECVERR: the address that the lost datagram was sent to.
/// None when the queue is empty.
pub fn take_error(fd: RawFd) -> Option<SocketAddr> {
    // SAFETY: all zeroes is valid for these C structures.
    let (mut name, mut header) = unsafe { (mem::zeroed::<libc::sockaddr_storage>(), mem::zeroed::<libc::msghdr>()) };
    let mut byte = [0u8; 1];
    let mut control = [0u64; 64];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    header.msg_name = ptr::from_mut(&mut name).cast();
    header.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    header.msg_iov = &mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&control) as _;
    // SAFETY: the header points to memory that outlives the call.
    let length = unsafe { libc::recvmsg(fd, &mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    if length < 0 { None } else { read_name(&name) }
}

fn read_name(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in, which is smaller than the storage.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(address, u16::from_be(name.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is a sockaddr_in6, which is smaller than the storage.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddr::V6(SocketAddrV6::new(address, u16::from_be(name.sin6_port), 0, name.sin6_scope_id)))
        }
        _ => None,
    }
}

fn write_name(name: &mut libc::sockaddr_in6, address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: a sockaddr_in is smaller than a sockaddr_in6, and any bytes are valid in both.
            let name = unsafe { &mut *ptr::from_mut(name).cast::<libc::sockaddr_in>() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = address.port().to_be();
            name.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            mem::size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = address.port().to_be();
            name.sin6_addr.s6_addr = address.ip().octets();
            name.sin6_scope_id = address.scope_id();
            mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

fn read_local(header: &libc::msghdr) -> Option<Local> {
    // SAFETY: the kernel wrote the control messages and their total length; CMSG_NXTHDR stays within it. What is read of a message is
    // checked against its length, because the kernel cuts one for which there is no room.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(head) = control.as_ref() {
            let data = libc::CMSG_DATA(control);
            let has = |size: usize| head.cmsg_len >= libc::CMSG_LEN(size as libc::c_uint) as _;
            match (head.cmsg_level, head.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if has(mem::size_of::<libc::in_pktinfo>()) => {
                    let info = ptr::read_unaligned(data.cast::<libc::in_pktinfo>());
                    let address = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
                    return Some(Local { address: IpAddr::V4(address), interface: info.ipi_ifindex as u32 });
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if has(mem::size_of::<libc::in6_pktinfo>()) => {
                    let info = ptr::read_unaligned(data.cast::<libc::in6_pktinfo>());
                    let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    return Some(Local { address: IpAddr::V6(address), interface: info.ipi6_ifindex });
                }
                _ => control = libc::CMSG_NXTHDR(header, control),
            }
        }
    }
    None
}

fn write_control(
    header: &mut libc::msghdr,
    space: &mut [u64; CONTROL / 8],
    local: Option<Local>,
    segment: Option<u16>,
) {
    let start = space.as_mut_ptr().cast::<u8>();
    let mut used = 0;
    match local {
        Some(Local { address: IpAddr::V4(address), .. }) => {
            // The interface is left to routing: an answer may leave by another one than the query came in by.
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(address).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            used += put_control(space, used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(Local { address: IpAddr::V6(address), interface }) => {
            // Only a link-local address needs its interface.
            let link_local = address.segments()[0] & 0xffc0 == 0xfe80;
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                ipi6_ifindex: if link_local { interface } else { 0 },
            };
            used += put_control(space, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        None => {}
    }
    if let Some(segment) = segment {
        used += put_control(space, used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    if used > 0 {
        header.msg_control = start.cast();
        header.msg_controllen = used as _;
    }
}

/// Write a control message at byte `offset` of `space`, and return the bytes that it takes.
fn put_control<T: Copy>(
    space: &mut [u64; CONTROL / 8],
    offset: usize,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    let size = mem::size_of::<T>() as libc::c_uint;
    // SAFETY: these only compute sizes.
    let (length, taken) = unsafe { (libc::CMSG_LEN(size) as usize, libc::CMSG_SPACE(size) as usize) };
    assert!(offset + taken <= CONTROL, "the control messages of one datagram fit");
    // SAFETY: the space has room for the header and a T at this offset, as asserted; offsets are multiples of 8, as headers need.
    unsafe {
        let control = space.as_mut_ptr().cast::<u8>().add(offset).cast::<libc::cmsghdr>();
        (*control).cmsg_len = length as _;
        (*control).cmsg_level = level;
        (*control).cmsg_type = kind;
        ptr::write_unaligned(libc::CMSG_DATA(control).cast(), value);
    }
    taken
}
