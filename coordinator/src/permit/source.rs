//! Where the permit comes from: read anew whenever it matters, because it may be withdrawn.

use std::path::PathBuf;

use model::permit::{Clause, DomainClause, DomainPick, Permit};

/// Heat without a permit, of all nodes together: two household sockets.
const SMALL_TOTAL_KW: f64 = 5.0;
/// And on any one power or cooling domain: less than a twentieth of a rack's PDU.
const SMALL_DOMAIN_KW: f64 = 1.0;

/// What allows a coordinator to heat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Permission {
    /// Nobody's permit: a small load, 5 kW in all and 1 kW on any power or cooling domain.
    #[default]
    SmallLoad,
    /// The permit in this file.
    File(PathBuf),
    /// The machine that this process runs on, by whoever started it there: `loadbank local`.
    /// Its own supply was built for its own processors.
    OwnMachine,
}

impl Permission {
    /// The permit as it is now; `None` where none is needed.
    ///
    /// # Errors
    /// When the file can't be read or is wrong: every problem, a line each.
    pub(crate) fn read(&self) -> Result<Option<Permit>, String> {
        Ok(self.read_with_text()?.0)
    }

    /// The same with the text of the file, for the run's record: what was read is what is kept.
    ///
    /// # Errors
    /// As [`Permission::read`].
    pub(crate) fn read_with_text(&self) -> Result<(Option<Permit>, Option<String>), String> {
        match self {
            Self::SmallLoad => Ok((Some(small_load()), None)),
            Self::File(path) => {
                let (permit, text) =
                    formats::permit::read(path).map_err(|errors| errors.to_string())?;
                Ok((Some(permit), Some(text)))
            }
            Self::OwnMachine => Ok((None, None)),
        }
    }

    /// The words for the run's record.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::SmallLoad => "small load, no permit".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::OwnMachine => "own machine".to_owned(),
        }
    }
}

fn small_load() -> Permit {
    let domain = DomainClause {
        pick: DomainPick::Every,
        most_kw: Some(SMALL_DOMAIN_KW),
        kw_per_s_up: None,
        kw_per_s_down: None,
        line: 0,
    };
    Permit {
        file: "no permit (serve --permit FILE gives one)".to_owned(),
        issued_by: "loadbank".to_owned(),
        total_kw: Some(Clause { value: SMALL_TOTAL_KW, line: 0 }),
        domains: vec![domain],
        ..Permit::default()
    }
}
