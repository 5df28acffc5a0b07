//! A small disk of a test's own, which it can fill. Needs root.

use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What takes up the room.
const BALLAST: &str = "ballast";

/// A file system in memory over a folder. Unmounted when dropped, also by a panic.
pub struct SmallDisk {
    at: CString,
    ballast: PathBuf,
}

impl SmallDisk {
    /// Over a folder, which is made.
    ///
    /// # Panics
    /// When this process may not mount.
    #[must_use]
    pub fn over(folder: &Path, mib: u32) -> Self {
        std::fs::create_dir_all(folder).expect("the test's folder takes folders");
        let at = CString::new(folder.as_os_str().as_bytes()).expect("a path without zeros");
        let size = CString::new(format!("size={mib}m,mode=700")).expect("text without zeros");
        let tmpfs = c"tmpfs".as_ptr();
        // SAFETY: all arguments are C strings that live until mount returns.
        let done = unsafe { libc::mount(tmpfs, at.as_ptr(), tmpfs, 0, size.as_ptr().cast()) };
        let error = std::io::Error::last_os_error();
        assert_eq!(done, 0, "mount {}: {error}", folder.display());
        Self { at, ballast: folder.join(BALLAST) }
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// When the disk fails otherwise than by being full.
    pub fn fill(&self) {
        let file = File::options().create(true).append(true).open(&self.ballast);
        let mut file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{}: {error}", self.ballast.display()),
        };
        let block = vec![0; 64 << 10];
        loop {
            match file.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{}: {error}", self.ballast.display()),
            }
        }
    }

    /// Gives it back.
    ///
    /// # Panics
    /// When nothing was taken.
    pub fn free(&self) {
        std::fs::remove_file(&self.ballast).expect("the ballast lies there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // SAFETY: the path is a C string; lazily, because a process may still be ending.
        unsafe { libc::umount2(self.at.as_ptr(), libc::MNT_DETACH) };
    }
}
