//! Work in the order of a CUDA stream: the driver (here the fake one) calls a function of
//! ours when the stream comes to it.

use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::OnceLock;

use libloading::Library;

type Callback = unsafe extern "C" fn(*mut c_void);
type LaunchHostFunction = unsafe extern "C" fn(*mut c_void, Callback, *mut c_void) -> i32;

/// The driver's `cuLaunchHostFunc`, from the library that the process has loaded already.
fn launch_host_function() -> Option<LaunchHostFunction> {
    static FOUND: OnceLock<Option<(Library, LaunchHostFunction)>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let given = std::env::var_os("LOADBANK_CUDA_LIBRARY");
        let path = given.map_or_else(|| PathBuf::from("libcuda.so.1"), PathBuf::from);
        // SAFETY: the library is loaded already; this only counts it once more.
        let library = unsafe { Library::new(path) }.ok()?;
        // SAFETY: the type is that of cuda.h.
        let function =
            unsafe { library.get::<LaunchHostFunction>(b"cuLaunchHostFunc").ok().map(|f| *f) }?;
        Some((library, function))
    });
    found.as_ref().map(|(_, function)| *function)
}

/// Puts work into a stream; false where the driver does not take it.
pub(crate) fn enqueue(stream: *mut c_void, work: Box<dyn FnOnce() + Send>) -> bool {
    let Some(launch) = launch_host_function() else { return false };
    let data = Box::into_raw(Box::new(work));
    // SAFETY: `call` takes the box back, once.
    unsafe { launch(stream, call, data.cast()) == 0 }
}

/// # Safety
/// `data` must come from [`enqueue`], and is used up.
unsafe extern "C" fn call(data: *mut c_void) {
    // SAFETY: the caller's promise.
    let work = unsafe { Box::from_raw(data.cast::<Box<dyn FnOnce() + Send>>()) };
    work();
}
