//! A program on a terminal of its own: what is typed goes in, and what is seen is a picture.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::watch::wait_until;

/// A key, a frame, a message of the coordinator: all take well under a second.
const SOON: Duration = Duration::from_secs(30);

/// A process whose standard input, output and error are a terminal. Killed when dropped.
pub struct Pty {
    child: Child,
    name: String,
    /// Our end; theirs is kept open, so that its settings can be looked at after the end.
    ours: File,
    theirs: OwnedFd,
    seen: Arc<Mutex<vt100::Parser>>,
    status: Option<ExitStatus>,
}

impl Pty {
    /// Starts a program on a new terminal of so many columns and rows.
    ///
    /// # Panics
    /// When there is no terminal to be had, or the program can't be started.
    #[must_use]
    pub fn start(
        program: &Path,
        arguments: &[String],
        env: &[(&str, &str)],
        size: (u16, u16),
        name: &str,
    ) -> Self {
        let (ours, theirs) = open(size);
        let end = || Stdio::from(theirs.try_clone().expect("a terminal can be shared"));
        let mut command = Command::new(program);
        command.args(arguments).stdin(end()).stdout(end()).stderr(end());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(env.iter().copied());
        // SAFETY: setsid, ioctl and prctl touch no memory of this process; 0 is the terminal.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // The terminal becomes its own: keys that are signals reach it, and nobody else.
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let seen = Arc::new(Mutex::new(vt100::Parser::new(side(size.1), side(size.0), 0)));
        let (parser, mut from) = (seen.clone(), ours.try_clone().expect("a file can be shared"));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                parser.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
            }
        });
        Self { child, name: name.to_owned(), ours, theirs, seen, status: None }
    }

    /// Types keys, as bytes of a terminal.
    ///
    /// # Panics
    /// When the terminal takes none.
    pub fn type_in(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).expect("a terminal takes keys");
    }

    /// Makes the terminal another size, as a window's owner does.
    ///
    /// # Panics
    /// When it does not change.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.seen().screen_mut().set_size(side(rows), side(columns));
        let size = winsize((columns, rows));
        // SAFETY: the call reads one winsize, which lives as long as it.
        let done = unsafe { libc::ioctl(self.ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// What stands on the terminal now.
    #[must_use]
    pub fn picture(&self) -> String {
        self.seen().screen().contents()
    }

    /// Whether a program has put its own screen before the operator's.
    #[must_use]
    pub fn shows_other_screen(&self) -> bool {
        self.seen().screen().alternate_screen()
    }

    /// Whether the terminal is as a shell wants it: lines, echo, a cursor.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn is_a_shells(&self) -> bool {
        // SAFETY: termios is plain numbers, all of them written by the call.
        let settings = unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            let done = libc::tcgetattr(self.theirs.as_raw_fd(), &raw mut settings);
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
            settings
        };
        let wanted = libc::ICANON | libc::ECHO | libc::ISIG;
        settings.c_lflag & wanted == wanted
            && !self.shows_other_screen()
            && !self.seen().screen().hide_cursor()
    }

    /// Waits until the picture has all of these words; the picture. It may be caught in the middle
    /// of being drawn: whatever must be on it is to be waited for.
    ///
    /// # Panics
    /// When it never has, or the program ends before.
    pub fn wait_for(&mut self, words: &[&str]) -> String {
        self.wait_for_only(words, &[])
    }

    /// The same, until none of other words is there any more.
    ///
    /// # Panics
    /// As [`Pty::wait_for`].
    pub fn wait_for_only(&mut self, words: &[&str], gone: &[&str]) -> String {
        wait_until(&format!("{} to show {words:?}", self.name), SOON, || {
            let picture = self.picture();
            let there = words.iter().all(|word| picture.contains(word))
                && !gone.iter().any(|word| picture.contains(word));
            assert!(there || self.runs(), "{} ended before {words:?}:\n{picture}", self.name);
            there.then_some(picture)
        })
    }

    /// Waits for its end and for all that it wrote; its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn finish(&mut self) -> Option<i32> {
        wait_until(&format!("the end of {}", self.name), SOON, || (!self.runs()).then_some(()));
        self.status.and_then(|status| status.code())
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill has no memory effects; the process is ours and not yet waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    fn runs(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_none()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, vt100::Parser> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} showed:\n{}", self.name, self.picture());
        }
        if self.runs() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Columns or rows as the picture takes them.
fn side(length: u16) -> NonZeroU16 {
    NonZeroU16::new(length).expect("a terminal has columns and rows")
}

fn winsize((columns, rows): (u16, u16)) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Both ends of a new terminal.
fn open(size: (u16, u16)) -> (File, OwnedFd) {
    let size = winsize(size);
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: both numbers are written on success, and then nobody else owns these descriptors;
    // name and settings may be null.
    unsafe {
        let done = libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            (&raw const size).cast_mut(),
        );
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        // What is started gets its own copies, and no other child these.
        for end in [ours, theirs] {
            libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    }
}
