//! What a Prometheus gathers.

use formats::sources::{PrometheusSource, Target};

use super::port::{Meter, MeterError, Round};

/// One device.
pub(crate) struct Prometheus {
    address: String,
}

impl Prometheus {
    pub(crate) fn new(_source: &PrometheusSource, target: &Target) -> Result<Self, String> {
        Ok(Self { address: target.address.clone() })
    }
}

impl Meter for Prometheus {
    async fn read(&mut self) -> Result<Round, MeterError> {
        Err(MeterError::Silent(format!(
            "{} is not asked yet: prometheus is not built",
            self.address
        )))
    }
}
