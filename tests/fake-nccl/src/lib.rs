//! A stand-in for `libnccl.so.2`: the functions that the agent uses, with their real types.
//! Ranks meet in a hub on loopback ([`hub`]); operations run in the order of the (fake) CUDA
//! stream ([`stream`]); faults are scripted ([`script`]).

mod hub;
mod rank;
mod script;
mod stream;

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

use hub::Operation;
use rank::{Place, Rank};

pub(crate) const SUCCESS: c_int = 0;
pub(crate) const INVALID_ARGUMENT: c_int = 4;
pub(crate) const REMOTE_ERROR: c_int = 6;
pub(crate) const IN_PROGRESS: c_int = 7;

const VERSION: c_int = 22_304;
const MAGIC: &[u8; 8] = b"FAKENCCL";
/// `ncclMax`.
const MAX: c_int = 2;
/// Bytes of an element: the agent uses 32-bit floats and integers only.
const ELEMENT: usize = 4;

/// `ncclUniqueId`.
#[repr(C)]
pub struct UniqueId([u8; 128]);

type Comm = *mut c_void;
type Stream = *mut c_void;

thread_local! {
    /// Sends and receives of the open group of this thread.
    static GROUP: RefCell<Option<Group>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Group {
    comm: Option<(Arc<Rank>, usize)>,
    sends: Vec<(u32, Place, usize)>,
    receives: Vec<(u32, Place, usize)>,
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclGetVersion(version: *mut c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { *version = VERSION };
    SUCCESS
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclGetUniqueId(id: *mut UniqueId) -> c_int {
    let Ok(port) = hub::open() else { return REMOTE_ERROR };
    let mut bytes = [0; 128];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&port.to_le_bytes());
    // SAFETY: the caller's promise.
    unsafe { (*id).0 = bytes };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGetErrorString(code: c_int) -> *const c_char {
    let text: &CStr = match code {
        SUCCESS => c"no error",
        REMOTE_ERROR => c"remote process exited or there was a network error",
        IN_PROGRESS => c"NCCL operation in progress",
        _ => c"unknown result code",
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGetLastError(_comm: Comm) -> *const c_char {
    c"".as_ptr()
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommInitRankConfig(
    comm: *mut Comm,
    world: c_int,
    id: UniqueId,
    rank: c_int,
    _config: *mut c_void,
) -> c_int {
    let (Ok(world), Ok(rank)) = (u32::try_from(world), u32::try_from(rank)) else {
        return INVALID_ARGUMENT;
    };
    if id.0[..8] != *MAGIC || rank >= world {
        return INVALID_ARGUMENT;
    }
    let port = u16::from_le_bytes([id.0[8], id.0[9]]);
    let seat = Rank::join(port, rank, world);
    // SAFETY: the caller's promise.
    unsafe { *comm = Arc::into_raw(seat).cast_mut().cast() };
    IN_PROGRESS
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommGetAsyncError(comm: Comm, state: *mut c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { *state = rank_of(comm).state() };
    SUCCESS
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommAbort(comm: Comm) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { rank_of(comm) }.abort();
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclCommFinalize(_comm: Comm) -> c_int {
    SUCCESS
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclCommDestroy(comm: Comm) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { rank_of(comm) }.abort();
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGroupStart() -> c_int {
    GROUP.with_borrow_mut(|group| *group = Some(Group::default()));
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn ncclGroupEnd() -> c_int {
    let Some(group) = GROUP.take() else { return INVALID_ARGUMENT };
    let Some((rank, stream)) = group.comm else { return SUCCESS };
    let mut receives = group.receives;
    // The hub answers in the order of the senders.
    receives.sort_by_key(|(from, ..)| *from);
    let to = receives.into_iter().map(|(_, place, bytes)| (place, bytes)).collect();
    let read = move || {
        let message = |(to, from, bytes): &(u32, Place, usize)| (*to, take(*from, *bytes));
        Operation::Exchange { messages: group.sends.iter().map(message).collect() }
    };
    perform(rank, stream, Box::new(read), to)
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclAllReduce(
    from: *const c_void,
    to: *mut c_void,
    count: usize,
    _kind: c_int,
    operation: c_int,
    comm: Comm,
    stream: Stream,
) -> c_int {
    let (from, bytes) = (Place(from.cast_mut()), count * ELEMENT);
    let max = operation == MAX;
    let read = move || Operation::Reduce { max, scatter: false, operand: take(from, bytes) };
    // SAFETY: the caller's promise.
    perform(unsafe { rank_of(comm) }, stream.addr(), Box::new(read), vec![(Place(to), bytes)])
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclReduceScatter(
    from: *const c_void,
    to: *mut c_void,
    count: usize,
    _kind: c_int,
    operation: c_int,
    comm: Comm,
    stream: Stream,
) -> c_int {
    // SAFETY: the caller's promise.
    let rank = unsafe { rank_of(comm) };
    let (from, bytes) = (Place(from.cast_mut()), count * ELEMENT);
    let (max, all) = (operation == MAX, bytes * rank.world as usize);
    let read = move || Operation::Reduce { max, scatter: true, operand: take(from, all) };
    perform(rank, stream.addr(), Box::new(read), vec![(Place(to), bytes)])
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclAllGather(
    from: *const c_void,
    to: *mut c_void,
    count: usize,
    _kind: c_int,
    comm: Comm,
    stream: Stream,
) -> c_int {
    // SAFETY: the caller's promise.
    let rank = unsafe { rank_of(comm) };
    let (from, bytes) = (Place(from.cast_mut()), count * ELEMENT);
    let all = bytes * rank.world as usize;
    let read = move || Operation::Gather { operand: take(from, bytes) };
    perform(rank, stream.addr(), Box::new(read), vec![(Place(to), all)])
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclSend(
    from: *const c_void,
    count: usize,
    _kind: c_int,
    peer: c_int,
    comm: Comm,
    stream: Stream,
) -> c_int {
    // SAFETY: the caller's promise.
    let rank = unsafe { rank_of(comm) };
    let message = (peer as u32, Place(from.cast_mut()), count * ELEMENT);
    in_group(rank, stream, |group| group.sends.push(message))
}

/// # Safety
/// As in nccl.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ncclRecv(
    to: *mut c_void,
    count: usize,
    _kind: c_int,
    peer: c_int,
    comm: Comm,
    stream: Stream,
) -> c_int {
    // SAFETY: the caller's promise.
    let rank = unsafe { rank_of(comm) };
    let message = (peer as u32, Place(to), count * ELEMENT);
    in_group(rank, stream, |group| group.receives.push(message))
}

fn in_group(rank: Arc<Rank>, stream: Stream, add: impl FnOnce(&mut Group)) -> c_int {
    GROUP.with_borrow_mut(|group| match group {
        Some(group) => {
            group.comm = Some((rank, stream.addr()));
            add(group);
            SUCCESS
        }
        // The agent always groups them; alone they would wait for each other.
        None => INVALID_ARGUMENT,
    })
}

/// Puts an operation into the stream; its operand is read when the stream comes to it.
fn perform(
    rank: Arc<Rank>,
    stream: usize,
    read: Box<dyn FnOnce() -> Operation + Send>,
    to: Vec<(Place, usize)>,
) -> c_int {
    let work = move || rank.take_part(&read(), &to);
    let stream = std::ptr::with_exposed_provenance_mut(stream);
    if stream::enqueue(stream, Box::new(work)) { SUCCESS } else { INVALID_ARGUMENT }
}

/// A copy of what lies in (fake) device memory.
fn take(place: Place, bytes: usize) -> Vec<u8> {
    // SAFETY: the caller of the library gave a buffer of so many bytes and keeps it.
    unsafe { std::slice::from_raw_parts(place.0.cast(), bytes) }.to_vec()
}

/// # Safety
/// `comm` must come from [`ncclCommInitRankConfig`]. It is never freed: the process ends soon.
unsafe fn rank_of(comm: Comm) -> Arc<Rank> {
    let rank = comm.cast::<Rank>().cast_const();
    // SAFETY: the caller's promise; the count is raised for the copy that is given out.
    unsafe {
        Arc::increment_strong_count(rank);
        Arc::from_raw(rank)
    }
}
