//! A spool folder that something else wrote: opened, read and written on. The first two bytes say
//! where the ledger ends and the segment begins.

#![no_main]

mod scratch;

use agent::spool::{Identity, Limits, Spool};
use libfuzzer_sys::fuzz_target;
use model::id::{AgentInstance, RunId};

fuzz_target!(|data: &[u8]| {
    let [low, high, rest @ ..] = data else { return };
    let cut = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let dir = scratch::folder().join("spool");
    let _ = std::fs::remove_dir_all(&dir);
    if std::fs::create_dir_all(&dir).is_err() {
        return;
    }
    let _ = std::fs::write(dir.join("ledger"), &rest[..cut]);
    let _ = std::fs::write(dir.join("0000000000000001.seg"), &rest[cut..]);
    let own = Identity { instance: AgentInstance("own".to_owned()), boot_id: String::new() };
    let Ok((mut spool, _)) = Spool::open(&dir, own, Limits::within(1 << 20)) else { return };
    for pending in spool.pending() {
        let _ = spool.unacked(&pending.stream, 0, 1 << 20);
        let _ = spool.ack(&pending.stream, pending.last_seq);
    }
    let _ = spool.losses();
    let _ = spool.append(&RunId("r".to_owned()), 1, b"new");
});
