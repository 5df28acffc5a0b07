//! Values by number, as `nvmlDeviceGetFieldValues` answers them.

use crate::node::Node;

/// What a field is.
pub(crate) enum Value {
    Unsigned(u32),
    Signed(i32),
    Long(u64),
}

/// The value of a field of a GPU; `None` is not supported.
pub(crate) fn value(node: &Node, gpu: u32, number: u32) -> Option<Value> {
    if node.script.has(gpu, "lacks", u64::from(number)) {
        return None;
    }
    let counted = node.counted(gpu);
    let limit = node.script.number(gpu, "limit").unwrap_or(700);
    let requested = node.script.number(gpu, "requested").unwrap_or(limit);
    let failed = u32::from(node.script.says(gpu, "remap_failed"));
    // The counters moved by 18 and left flags of power smoothing behind.
    let (counters, flags) = if node.script.is_old() { (251, 256) } else { (269, 251) };
    Some(match number {
        74 => Value::Long(counted.throttled_ns[0]),
        76 => Value::Long(0),
        82 => Value::Unsigned(70),
        142 | 143 | 144 | 230 => Value::Unsigned(0),
        145 => Value::Unsigned(failed),
        185 | 186 => Value::Unsigned(node.power_mw(gpu)),
        190 => Value::Unsigned(limit as u32 * 1_000),
        192 => Value::Unsigned(requested as u32 * 1_000),
        193..=196 => Value::Signed(-5),
        38 | 45 | 52 | 59 => Value::Long(0),
        _ if (counters..counters + 3).contains(&number) => {
            Value::Long(counted.throttled_ns[(number - counters) as usize + 1])
        }
        _ if (flags..flags + 18).contains(&number) => Value::Unsigned(1),
        _ => return None,
    })
}
