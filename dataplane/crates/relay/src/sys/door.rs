//! Taking connections from a listening TCP socket, and turning them away at the least cost.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::ptr;

use super::read_name;

/// Take one connection that waits: its descriptor, non-blocking, and who it is from. None when none waits.
///
/// # Errors
/// Of accept4. Most are of that one connection alone (accept(2)); see [`is_shortage`].
pub fn accept(listener: RawFd) -> io::Result<Option<(RawFd, SocketAddr)>> {
    let mut name = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: name and length are valid; the kernel writes no more than length.
    let fd = unsafe {
        libc::accept4(listener, name.as_mut_ptr().cast(), &mut length, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
    };
    if fd < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    // SAFETY: zeroes are a valid sockaddr_storage, and the kernel wrote over some of them.
    match read_name(unsafe { name.assume_init_ref() }) {
        Some(from) => Ok(Some((fd, from))),
        None => {
            reset(fd);
            Err(io::Error::other("a connection without an address"))
        }
    }
}

/// The address of ours that a connection was made to. None when it is gone already.
pub fn local_address(fd: RawFd) -> Option<SocketAddr> {
    let mut name = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: name and length are valid; the kernel writes no more than length.
    let result = unsafe { libc::getsockname(fd, name.as_mut_ptr().cast(), &mut length) };
    // SAFETY: zeroes are a valid sockaddr_storage, and the kernel wrote over some of them.
    if result == 0 { read_name(unsafe { name.assume_init_ref() }) } else { None }
}

/// Close a connection with a reset: no state of it stays in the kernel, and nothing is sent but one segment.
pub fn reset(fd: RawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = mem::size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the pointer is valid for that length; fd was given to us and is not used again.
    unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, ptr::from_ref(&linger).cast(), length);
        libc::close(fd);
    }
}

/// Whether an error of [`accept`] tells of this machine: the connection still waits, and asking again at once would spin.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Nanoseconds of CPU time that this thread has used.
pub fn thread_time() -> u64 {
    super::clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsRawFd, FromRawFd};

    use super::*;

    #[test]
    fn a_connection_is_taken_with_its_addresses_and_turned_away_with_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(accept(listener.as_raw_fd()).unwrap().is_none());
        let mut clients = [(); 2].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (kept, from) = accept(listener.as_raw_fd()).unwrap().unwrap();
        assert_eq!((Some(from), local_address(kept)), (clients[0].local_addr().ok(), listener.local_addr().ok()));
        let (refused, _) = accept(listener.as_raw_fd()).unwrap().unwrap();
        reset(refused);
        let error = clients[1].read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(local_address(refused).is_none());
        // SAFETY: the descriptor is ours.
        drop(unsafe { TcpStream::from_raw_fd(kept) });
        assert_eq!(clients[0].read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn an_error_of_one_connection_is_no_shortage() {
        let shortage = |code| is_shortage(&io::Error::from_raw_os_error(code));
        assert!(shortage(libc::EMFILE) && shortage(libc::ENOBUFS) && !shortage(libc::ECONNABORTED));
        assert!(accept(-1).is_err());
    }

    #[test]
    fn time_of_the_thread_passes_only_while_it_works() {
        let before = thread_time();
        let work: u64 = (0..100_000u64).map(std::hint::black_box).sum();
        assert!(work > 0 && thread_time() > before);
    }
}
