//! One rank of a communicator. Made, used and ended without ever waiting beyond a deadline.

use std::time::Duration;

use super::super::clock::{Halt, now_ns};
use super::config::Config;
use super::id::UniqueId;
use super::library::{Nccl, NcclError, RawComm, Status};

/// How often a call that is in progress is asked after.
const LOOK: Duration = Duration::from_millis(1);

/// One rank.
pub(super) struct Communicator<'a> {
    pub(super) nccl: &'a Nccl,
    pub(super) raw: RawComm,
    ended: bool,
}

/// Who one is among the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) rank: u32,
    pub(crate) world_size: u32,
}

impl<'a> Communicator<'a> {
    /// Joins; all ranks must do so before the deadline (CLOCK_MONOTONIC). The GPU's context
    /// must be current on this thread.
    ///
    /// # Errors
    /// When NCCL refuses, a rank stays away, or the stop is called.
    pub(super) fn join(
        nccl: &'a Nccl,
        id: UniqueId,
        seat: Seat,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<Self, NcclError> {
        let (rank, world_size) = (number(seat.rank)?, number(seat.world_size)?);
        let mut comm = Self { nccl, raw: std::ptr::null_mut(), ended: false };
        let mut config = Config::non_blocking();
        // SAFETY: both pointers are to values of ours that outlive the call; NCCL copies the
        // configuration before it returns.
        let status = Status(unsafe {
            (nccl.init_rank_config)(&raw mut comm.raw, world_size, id, rank, &raw mut config)
        });
        comm.settle("ncclCommInitRankConfig", status, deadline_ns, halt)?;
        Ok(comm)
    }

    /// Waits until what a call began is done.
    ///
    /// # Errors
    /// When it failed, the deadline passed or the stop is called.
    pub(super) fn settle(
        &self,
        call: &'static str,
        status: Status,
        deadline_ns: u64,
        halt: &Halt,
    ) -> Result<(), NcclError> {
        let began_ns = now_ns();
        let mut status = status;
        while status == Status::IN_PROGRESS {
            halt.check().map_err(|_| NcclError::Stopped)?;
            let now = now_ns();
            if now >= deadline_ns {
                let seconds = now.saturating_sub(began_ns) as f64 / 1e9;
                return Err(NcclError::TimedOut { call, seconds });
            }
            std::thread::sleep(LOOK);
            status = self.state()?;
        }
        self.nccl.check(call, status)
    }

    /// What the communicator says of itself: success, in progress, or what broke it.
    ///
    /// # Errors
    /// When it does not even say that.
    pub(super) fn state(&self) -> Result<Status, NcclError> {
        if self.raw.is_null() {
            return Err(NcclError::Nonsense("NCCL gave no communicator".to_owned()));
        }
        let mut state = 0;
        // SAFETY: the communicator is alive, the pointer is to an integer of ours.
        let asked = Status(unsafe { (self.nccl.get_async_error)(self.raw, &raw mut state) });
        self.nccl.check("ncclCommGetAsyncError", asked)?;
        Ok(Status(state))
    }

    /// Ends in peace with all ranks; what does not end by the deadline is aborted.
    pub(super) fn leave(mut self, deadline_ns: u64, halt: &Halt) {
        // SAFETY: the communicator is alive and used by this thread only.
        let status = Status(unsafe { (self.nccl.finalize)(self.raw) });
        if self.settle("ncclCommFinalize", status, deadline_ns, halt).is_ok() {
            // SAFETY: finalised; nobody uses it afterwards.
            unsafe { (self.nccl.destroy)(self.raw) };
            self.ended = true;
        }
    }
}

impl Drop for Communicator<'_> {
    /// Aborts. That may hang as well: whoever must go on after it kills the process.
    fn drop(&mut self) {
        if !self.ended && !self.raw.is_null() {
            // SAFETY: the communicator is alive and used by this thread only.
            unsafe { (self.nccl.abort)(self.raw) };
        }
    }
}

fn number(count: u32) -> Result<i32, NcclError> {
    i32::try_from(count).map_err(|_| NcclError::Nonsense(format!("{count} ranks")))
}
