//! This node's part in a communicator: the library and the GPUs that are ranks of it.

use std::sync::mpsc::Sender;

use super::super::FabricReport;
use super::super::clock::Halt;
use super::gpu::Gpus;
use super::id::UniqueId;
use super::job::{self, Order};
use super::library::{Nccl, NcclError, library_path};

/// NCCL and the node's GPUs, open.
pub(crate) struct Members {
    nccl: Nccl,
    gpus: Gpus,
}

impl Members {
    /// Opens NCCL and a context on each GPU, by UUID.
    ///
    /// # Errors
    /// When the library or a GPU is missing.
    pub(crate) fn open(uuids: &[String]) -> Result<Self, NcclError> {
        let nccl = Nccl::load(library_path().as_deref())?;
        Ok(Self { nccl, gpus: Gpus::find(uuids)? })
    }

    /// A fresh id; this process must live until the communicator stands.
    ///
    /// # Errors
    /// When no network interface can be used.
    pub(crate) fn unique_id(&self) -> Result<UniqueId, NcclError> {
        self.nccl.unique_id()
    }

    /// Runs an order on one of the GPUs, on the calling thread.
    ///
    /// # Errors
    /// When a rank stays away or stands still, the GPU fails, or the stop is called.
    pub(crate) fn run(
        &self,
        gpu: usize,
        order: &Order,
        halt: &Halt,
        reports: &Sender<FabricReport>,
    ) -> Result<(), NcclError> {
        let gpu = self.gpus.open(gpu)?;
        job::run(&self.nccl, &gpu, order, halt, reports)
    }
}
