//! Workers: the processes that may die. A device's load and the data plane each run in
//! one; the supervisor speaks to it over a pipe, and the pipe's end is its end.

mod convert;
mod gpus;
mod handle;
mod nccl;
mod nccl_version;
mod pipe;
mod process;
mod traffic;

pub use gpus::which_gpus;
pub use handle::{Output, Slot, Worker, WorkerCommandLine};
pub use nccl_version::ask as ask_nccl_version;
pub use process::{WorkerOptions, run};
