//! Faults as text, both ways.

use std::fmt;
use std::str::FromStr;

use model::site::Site;

use super::kind::{Entry, FaultKind, Unit};
use super::{Fault, FaultError, Flap, Target};

/// Longest onset and period in s: longer than any plan (31 days), and exact in a double.
const SECONDS_MAX: f64 = 1e7;
/// Shortest period of a flapping in s: well above the update period of the sensors.
const PERIOD_LEAST_S: f64 = 0.5;

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let shape = || FaultError::Shape(text.to_owned());
        let (word, rest) = text.trim().split_once(':').ok_or_else(shape)?;
        let kind = FaultKind::from_word(word.trim())
            .ok_or_else(|| FaultError::Kind { word: word.trim().to_owned() })?;
        let (rest, flap) = cut(rest, '~');
        let (rest, onset) = cut(rest, '@');
        let (name, size) = cut(rest, '=');
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(shape());
        }
        let entry = kind.entry();
        let target = Target::parse(entry.sort, name).ok_or_else(|| FaultError::Target {
            kind: entry.word,
            wants: entry.sort.wants(),
            text: name.to_owned(),
        })?;
        Ok(Self {
            kind,
            target,
            size: size.map_or(Ok(entry.default_size), |size| size_of(entry, size.trim()))?,
            onset_s: onset.map_or(Ok(0.0), |onset| onset_of(onset.trim()))?,
            flap: flap.map(|flap| flap_of(flap.trim())).transpose()?,
        })
    }
}

fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.rsplit_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// A plain finite number, unlike `inf` and `nan` that Rust would take.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse::<f64>().ok().filter(|value| plain && value.is_finite())
}

fn size_of(entry: &Entry, text: &str) -> Result<f64, FaultError> {
    if entry.unit == Unit::None {
        return Err(FaultError::NoSize { kind: entry.word, text: text.to_owned() });
    }
    // A bare number is in the kind's own unit.
    let digits = text.strip_suffix(entry.unit.suffix()).unwrap_or(text);
    let written = number(digits.trim());
    let size = written.map(|written| written / entry.unit.scale());
    size.filter(|size| *size > 0.0 && *size <= entry.most).ok_or_else(|| FaultError::Size {
        kind: entry.word,
        text: text.to_owned(),
        unit: entry.unit,
        most_thousandths: (entry.most * 1_000.0).round() as u64,
    })
}

fn seconds(text: &str) -> Option<f64> {
    number(text.strip_suffix('s').unwrap_or(text)).filter(|seconds| *seconds <= SECONDS_MAX)
}

fn onset_of(text: &str) -> Result<f64, FaultError> {
    seconds(text).ok_or_else(|| FaultError::Onset(text.to_owned()))
}

fn flap_of(text: &str) -> Result<Flap, FaultError> {
    let flap = || {
        let (duty, period) = text.split_once('/')?;
        let duty = number(duty.trim().strip_suffix('%')?)? / 100.0;
        let period_s = seconds(period.trim())?;
        let fits = duty > 0.0 && duty <= 1.0 && period_s >= PERIOD_LEAST_S;
        fits.then_some(Flap { duty, period_s })
    };
    flap().ok_or_else(|| FaultError::Flap(text.to_owned()))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.kind.entry();
        write!(f, "{}:{}", entry.word, self.target)?;
        if entry.unit != Unit::None {
            // Shares such as 0.12 are not exact in binary; a millionth is finer than any size.
            let written = (self.size * entry.unit.scale() * 1e6).round() / 1e6;
            write!(f, "={written}{}", entry.unit.suffix())?;
        }
        if self.onset_s > 0.0 {
            write!(f, "@{}", self.onset_s)?;
        }
        if let Some(flap) = self.flap {
            write!(f, "~{}%/{}", (flap.duty * 1e8).round() / 1e6, flap.period_s)?;
        }
        Ok(())
    }
}

impl Fault {
    /// Reads a fault of a site. Beside the catalogue's words the words of findings are taken
    /// (`weak_cooling:loop-2`): they stand for the first kind of the catalogue that should be
    /// called so and works on the target.
    ///
    /// # Errors
    /// What is wrong with the text, or what the site lacks.
    pub fn read(text: &str, site: &Site) -> Result<Self, FaultError> {
        let checked = |text: &str| -> Result<Self, FaultError> {
            let fault: Self = text.parse()?;
            fault.check(site).map(|()| fault)
        };
        let direct = checked(text);
        let Some((word, rest)) = text.trim().split_once(':') else { return direct };
        if direct.is_ok() {
            return direct;
        }
        let named = FaultKind::catalogue().iter().filter(|e| e.finding.word() == word.trim());
        let others = named.map(|entry| checked(&format!("{}:{rest}", entry.word)));
        let mut others: Vec<_> = others.collect();
        let Some(found) = others.iter().position(Result::is_ok) else {
            // A word of the catalogue says best what is wrong; else the nearest reading does.
            let known = FaultKind::from_word(word.trim()).is_some() || others.is_empty();
            return if known { direct } else { others.swap_remove(0) };
        };
        others.swap_remove(found)
    }
}
