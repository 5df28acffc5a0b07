//! What the fake GPUs are and what goes wrong with them, from the environment.
//!
//! `LOADBANK_FAKE_CUDA` is a list of `key=value` words. A place is `GPU@LAUNCH`: launches count
//! from 1 in each process, preparation included.

use std::sync::OnceLock;

/// The variable.
const VARIABLE: &str = "LOADBANK_FAKE_CUDA";

/// A GPU and one of its launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) gpu: i32,
    pub(crate) launch: u64,
}

/// How the kernel for Hopper behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hopper {
    Right,
    Wrong,
    Hangs,
}

/// The script.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// `gpus=8`
    pub(crate) gpus: i32,
    /// `id=3`: first byte of the UUIDs, so that nodes have GPUs of their own.
    pub(crate) id: u8,
    /// `plain=1`: UUIDs as the fake NVML gives them.
    pub(crate) plain: bool,
    /// `launch_us=1500`: length of a full launch.
    pub(crate) launch_us: u64,
    /// `cc=9.0`; unasked 8.0, whose image needs no self-test.
    pub(crate) capability: (i32, i32),
    /// `init=12345`: what cuInit answers.
    pub(crate) init: i32,
    /// `ptx=222`: what the JIT answers.
    pub(crate) ptx: i32,
    /// `mig=1`: this GPU is a slice.
    pub(crate) mig: Option<i32>,
    /// `full=1`: another process holds this GPU's memory.
    pub(crate) full: Option<i32>,
    /// `wrong=2`: full launches of this GPU are wrong in one tile, always.
    pub(crate) wrong: Option<i32>,
    /// `flip=1@30`: one launch is wrong in one tile.
    pub(crate) flip: Option<Place>,
    /// `fail=0@20:719`: a launch fails and the GPU with it.
    pub(crate) fail: Option<(Place, i32)>,
    /// `hang=1@5`: a launch never ends.
    pub(crate) hang: Option<Place>,
    /// `hopper=wrong`, `hopper=hangs`: what the image for Hopper does.
    pub(crate) hopper: Hopper,
    /// `bad_link=1`: every large copy from this GPU to the host comes with a turned bit.
    pub(crate) bad_link: Option<i32>,
    /// `block=1@5`: the call that launches does not return.
    pub(crate) block: Option<Place>,
}

/// The script of this process.
pub(crate) fn script() -> &'static Script {
    static SCRIPT: OnceLock<Script> = OnceLock::new();
    SCRIPT.get_or_init(|| parse(&std::env::var(VARIABLE).unwrap_or_default()))
}

/// A word that makes no sense ends the process: a test with a wrong script proves nothing.
fn parse(text: &str) -> Script {
    let mut script = Script {
        gpus: 8,
        id: 0,
        plain: false,
        launch_us: 1500,
        capability: (8, 0),
        init: 0,
        ptx: 0,
        mig: None,
        full: None,
        wrong: None,
        flip: None,
        fail: None,
        hang: None,
        hopper: Hopper::Right,
        bad_link: None,
        block: None,
    };
    for word in text.split_whitespace() {
        if apply(&mut script, word).is_none() {
            eprintln!("{VARIABLE}: {word:?} is no word of this script");
            std::process::abort();
        }
    }
    script
}

fn apply(script: &mut Script, word: &str) -> Option<()> {
    let (key, value) = word.split_once('=')?;
    let number = || value.parse::<i32>().ok();
    match key {
        "gpus" => script.gpus = number()?,
        "id" => script.id = value.parse().ok()?,
        "plain" => script.plain = number()? == 1,
        "launch_us" => script.launch_us = value.parse().ok()?,
        "cc" => {
            let (major, minor) = value.split_once('.')?;
            script.capability = (major.parse().ok()?, minor.parse().ok()?);
        }
        "init" => script.init = number()?,
        "ptx" => script.ptx = number()?,
        "mig" => script.mig = Some(number()?),
        "full" => script.full = Some(number()?),
        "wrong" => script.wrong = Some(number()?),
        "flip" => script.flip = Some(place(value)?),
        "fail" => {
            let (at, code) = value.split_once(':')?;
            script.fail = Some((place(at)?, code.parse().ok()?));
        }
        "hang" => script.hang = Some(place(value)?),
        "hopper" if value == "wrong" => script.hopper = Hopper::Wrong,
        "hopper" if value == "hangs" => script.hopper = Hopper::Hangs,
        "bad_link" => script.bad_link = Some(number()?),
        "block" => script.block = Some(place(value)?),
        _ => return None,
    }
    Some(())
}

fn place(text: &str) -> Option<Place> {
    let (gpu, launch) = text.split_once('@')?;
    Some(Place { gpu: gpu.parse().ok()?, launch: launch.parse().ok()? })
}
