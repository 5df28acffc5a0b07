//! Collectives between GPUs over NCCL: one process a job, one thread and rank a GPU.
//!
//! NCCL is found where the node has it ([`library`]); without it phases say so. Rank 0's
//! process makes the unique id, the coordinator carries it to all ranks with GO. Nothing
//! waits without a deadline; a hang is aborted, and what still hangs dies with its process.

mod batch;
mod communicator;
mod config;
mod gpu;
mod id;
mod job;
pub mod library;
mod members;
mod operands;
mod seats;

pub(crate) use id::UniqueId;
pub(crate) use job::Order;
pub(crate) use library::NcclError;
pub(crate) use members::Members;
pub(crate) use seats::seats_of;
