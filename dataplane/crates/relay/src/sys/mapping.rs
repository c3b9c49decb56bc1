//! Files mapped read-only, so that all workers share one copy of a list.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr;

/// A whole file as bytes.
///
/// Whoever cuts a mapped file short kills those who read it (SIGBUS), and whoever writes to it changes what they see.
/// So it must be a file of ours in which nobody can write, and which is replaced by renaming and never changed: that it
/// is our own regular file with no write permission for anyone is checked here.
pub struct Mapping {
    start: *const u8,
    length: usize,
}

// SAFETY: the memory is only read, and lives until the mapping is dropped.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the file and reads it in, so that look-ups don't wait for the disk.
    ///
    /// # Errors
    /// Of open and mmap; `InvalidData` for what is not our own read-only file, or empty.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)?;
        let known = file.metadata()?;
        // SAFETY: geteuid only tells a number.
        let ours = known.uid() == unsafe { libc::geteuid() };
        let length = usize::try_from(known.len()).unwrap_or(0);
        if !known.is_file() || !ours || known.mode() & 0o222 != 0 || length == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a read-only file of our own"));
        }
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a fresh mapping of a file of this length; the result is checked.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, flags, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: start.cast_const().cast(), length })
    }
}

impl AsRef<[u8]> for Mapping {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping has this many bytes and lives as long as self; nobody may write to the file.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::Mapping;

    #[test]
    fn a_file_of_ours_that_nobody_writes_is_mapped_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("zonegate-mapping-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("list");
        fs::write(&path, b"bytes").expect("written");
        assert!(Mapping::open(&path).is_err(), "it can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("permissions");
        let mapping = Mapping::open(&path).expect("mapped");
        fs::remove_file(&path).expect("removed");
        assert_eq!(mapping.as_ref(), b"bytes", "it stays when its name is gone");
        fs::write(&path, b"").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("permissions");
        assert!(Mapping::open(&path).is_err(), "it is empty");
        symlink(&path, folder.join("link")).expect("a link");
        assert!(Mapping::open(&folder.join("link")).is_err(), "a link");
        assert!(Mapping::open(&folder).is_err(), "a folder");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
