//! NCCL's functions, looked up when the library is there: nothing is linked, nothing bundled.
//!
//! Every status is a plain number. A closed enum would be undefined behaviour on a code that
//! it does not know, and new codes arrive with failing hardware.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use super::config::Config;
use crate::hardware::cuda::driver::CudaError;

use super::id::{ID_BYTES, UniqueId};

/// What the loader is asked for where no path is given: the runtime's name, then the
/// development package's.
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];
/// Where the Python wheel keeps it, below a `site-packages` folder.
const IN_WHEEL: &str = "nvidia/nccl/lib/libnccl.so.2";
/// Non-blocking communicators with a configuration of this layout came with 2.18.
const VERSION_LEAST: u32 = 21_800;

/// `ncclDataType_t`.
pub(super) const FLOAT32: c_int = 7;
pub(super) const UINT32: c_int = 3;
/// `ncclRedOp_t`.
pub(super) const SUM: c_int = 0;
pub(super) const MAX: c_int = 2;

/// A communicator's handle.
pub(super) type RawComm = *mut c_void;
/// A CUDA stream's handle.
pub(super) type RawStream = *mut c_void;

/// What a call answered: `ncclResult_t` as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    pub(super) const SUCCESS: Self = Self(0);
    /// The call goes on behind the scenes; ask for the communicator's state.
    pub(super) const IN_PROGRESS: Self = Self(7);
}

/// Why NCCL can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NcclError {
    #[error("no NCCL on this node: {0} (install libnccl2, or give its path)")]
    NoLibrary(String),
    #[error("NCCL lacks {name}: {error}")]
    NoFunction { name: &'static str, error: libloading::Error },
    #[error("NCCL {found} is too old: 2.18 or newer is needed")]
    TooOld { found: String },
    #[error("{call} failed with {} ({text})", .status.0)]
    Failed { call: &'static str, status: Status, text: String },
    #[error("{call} did not end within {seconds:.0} s")]
    TimedOut { call: &'static str, seconds: f64 },
    #[error("CUDA: {0}")]
    Cuda(#[from] CudaError),
    #[error("{0}")]
    Nonsense(String),
    #[error("stopped")]
    Stopped,
}

type GetVersion = unsafe extern "C" fn(*mut c_int) -> c_int;
type GetUniqueId = unsafe extern "C" fn(*mut UniqueId) -> c_int;
type GetErrorString = unsafe extern "C" fn(c_int) -> *const c_char;
type GetLastError = unsafe extern "C" fn(RawComm) -> *const c_char;
type InitRankConfig =
    unsafe extern "C" fn(*mut RawComm, c_int, UniqueId, c_int, *mut Config) -> c_int;
type GetAsyncError = unsafe extern "C" fn(RawComm, *mut c_int) -> c_int;
type OfComm = unsafe extern "C" fn(RawComm) -> c_int;
type Plain = unsafe extern "C" fn() -> c_int;
type Reduce = unsafe extern "C" fn(
    *const c_void,
    *mut c_void,
    usize,
    c_int,
    c_int,
    RawComm,
    RawStream,
) -> c_int;
type Gather =
    unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, RawComm, RawStream) -> c_int;
type Send = unsafe extern "C" fn(*const c_void, usize, c_int, c_int, RawComm, RawStream) -> c_int;
type Receive = unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, RawComm, RawStream) -> c_int;

/// The library and its functions.
pub struct Nccl {
    get_version: GetVersion,
    get_unique_id: GetUniqueId,
    get_error_string: GetErrorString,
    get_last_error: GetLastError,
    pub(super) init_rank_config: InitRankConfig,
    pub(super) get_async_error: GetAsyncError,
    pub(super) abort: OfComm,
    pub(super) finalize: OfComm,
    pub(super) destroy: OfComm,
    pub(super) group_start: Plain,
    pub(super) group_end: Plain,
    pub(super) all_reduce: Reduce,
    pub(super) reduce_scatter: Reduce,
    pub(super) all_gather: Gather,
    pub(super) send: Send,
    pub(super) receive: Receive,
    /// Where it came from, for the report.
    pub path: String,
    // Last: the functions above are its.
    _library: Library,
}

impl Nccl {
    /// Loads the library: `path` may be a file or a folder (of libraries or Python packages);
    /// without it the loader's own places are asked.
    ///
    /// # Errors
    /// [`NcclError::NoLibrary`], [`NcclError::NoFunction`] or [`NcclError::TooOld`].
    pub fn load(path: Option<&Path>) -> Result<Self, NcclError> {
        let mut tried = Vec::new();
        for candidate in candidates(path) {
            // SAFETY: NCCL's initialisers only read the environment; the path is the
            // administrator's or the loader's.
            match unsafe { Library::new(&candidate) } {
                Ok(library) => return Self::look_up(library, candidate.display().to_string()),
                Err(error) => tried.push(format!("{}: {error}", candidate.display())),
            }
        }
        Err(NcclError::NoLibrary(tried.join("; ")))
    }

    fn look_up(library: Library, path: String) -> Result<Self, NcclError> {
        // SAFETY: the names are those of nccl.h, and so are the types above.
        let nccl = unsafe {
            Self {
                get_version: function(&library, "ncclGetVersion")?,
                get_unique_id: function(&library, "ncclGetUniqueId")?,
                get_error_string: function(&library, "ncclGetErrorString")?,
                get_last_error: function(&library, "ncclGetLastError")?,
                init_rank_config: function(&library, "ncclCommInitRankConfig")?,
                get_async_error: function(&library, "ncclCommGetAsyncError")?,
                abort: function(&library, "ncclCommAbort")?,
                finalize: function(&library, "ncclCommFinalize")?,
                destroy: function(&library, "ncclCommDestroy")?,
                group_start: function(&library, "ncclGroupStart")?,
                group_end: function(&library, "ncclGroupEnd")?,
                all_reduce: function(&library, "ncclAllReduce")?,
                reduce_scatter: function(&library, "ncclReduceScatter")?,
                all_gather: function(&library, "ncclAllGather")?,
                send: function(&library, "ncclSend")?,
                receive: function(&library, "ncclRecv")?,
                path,
                _library: library,
            }
        };
        let version = nccl.version()?;
        if version < VERSION_LEAST {
            return Err(NcclError::TooOld { found: version_text(version) });
        }
        Ok(nccl)
    }

    /// `major * 10000 + minor * 100 + patch`.
    ///
    /// # Errors
    /// When the library does not say.
    pub fn version(&self) -> Result<u32, NcclError> {
        let mut version = 0;
        // SAFETY: the pointer is to an integer of ours.
        let status = Status(unsafe { (self.get_version)(&raw mut version) });
        self.check("ncclGetVersion", status)?;
        u32::try_from(version).map_err(|_| NcclError::Nonsense(format!("NCCL version {version}")))
    }

    /// A fresh id. A thread of this process serves it until the communicator stands: the
    /// process must live that long.
    ///
    /// # Errors
    /// When no network interface can be used.
    pub fn unique_id(&self) -> Result<UniqueId, NcclError> {
        let mut id = UniqueId([0; ID_BYTES]);
        // SAFETY: the pointer is to 128 bytes of ours, as ncclUniqueId has.
        let status = Status(unsafe { (self.get_unique_id)(&raw mut id) });
        self.check("ncclGetUniqueId", status)?;
        Ok(id)
    }

    /// An error for every status but success.
    pub(super) fn check(&self, call: &'static str, status: Status) -> Result<(), NcclError> {
        if status == Status::SUCCESS {
            return Ok(());
        }
        Err(NcclError::Failed { call, status, text: self.text(status) })
    }

    /// The library's words for a status, and what it said last.
    fn text(&self, status: Status) -> String {
        // SAFETY: NCCL answers any number with a static text.
        let text = unsafe { words((self.get_error_string)(status.0)) };
        // SAFETY: a null communicator asks for the thread's last error.
        let last = unsafe { words((self.get_last_error)(std::ptr::null_mut())) };
        if last.is_empty() { text } else { format!("{text}: {last}") }
    }
}

/// `2.23.4` of 22304.
#[must_use]
pub fn version_text(version: u32) -> String {
    format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// A file or folder that an administrator gave in the environment: agents, their workers and
/// unit files have that in common.
pub(crate) fn library_path() -> Option<PathBuf> {
    std::env::var_os("LOADBANK_NCCL_LIBRARY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn candidates(path: Option<&Path>) -> Vec<PathBuf> {
    match path {
        None => NAMES.iter().map(PathBuf::from).collect(),
        Some(folder) if folder.is_dir() => {
            let names = [IN_WHEEL, NAMES[0], NAMES[1]];
            names.iter().map(|name| folder.join(name)).collect()
        }
        Some(file) => vec![file.to_owned()],
    }
}

/// # Safety
/// `F` must be the type of the function of that name.
unsafe fn function<F: Copy>(library: &Library, name: &'static str) -> Result<F, NcclError> {
    // SAFETY: the caller's promise.
    let symbol = unsafe { library.get::<F>(name.as_bytes()) };
    symbol.map(|symbol| *symbol).map_err(|error| NcclError::NoFunction { name, error })
}

/// # Safety
/// `text` is null or a C string that stays.
unsafe fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_people_write_them() {
        assert_eq!(version_text(22_304), "2.23.4");
        assert_eq!(version_text(23_203), "2.32.3");
    }

    #[test]
    fn a_folder_may_be_a_wheels_or_the_librarys_own() {
        let dir = tempfile::tempdir().unwrap();
        let found = candidates(Some(dir.path()));
        assert_eq!(found[0], dir.path().join("nvidia/nccl/lib/libnccl.so.2"));
        assert_eq!(found[1], dir.path().join("libnccl.so.2"));
        assert_eq!(candidates(Some(Path::new("/x/libnccl.so"))).len(), 1);
    }

    #[test]
    fn what_is_no_library_is_told_with_its_name() {
        let why = Nccl::load(Some(Path::new("/nowhere/libnccl.so.2"))).err().unwrap().to_string();
        assert!(why.contains("/nowhere/libnccl.so.2") && why.contains("install"), "{why}");
    }
}
