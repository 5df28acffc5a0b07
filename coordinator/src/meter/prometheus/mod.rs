//! What a Prometheus gathers: each series of the document is asked for in turn.

mod answer;
mod question;

use std::collections::{BTreeMap, BTreeSet};

use formats::sources::{PrometheusSource, Series, SeriesDomain, Target};
use http::StatusCode;

use super::http::Http;
use super::named_point::{NamedPoint, on_line};
use super::port::{Meter, MeterError, Reading, Round};
use answer::{Labels, Samples};
use question::Question;

/// Most readings of one round: what comes at once after a silence, of a thousand PDUs.
const READINGS_MAX: usize = 50_000;
const WORDS_MAX: usize = 200;

/// One server.
pub(crate) struct Prometheus {
    http: Http,
    domain: String,
    asked: Vec<Asked>,
}

/// One question of the document.
struct Asked {
    series: Series,
    meaning: NamedPoint,
    question: Question,
    /// Stamp of the last sample of each point of each domain, so that a window of samples is
    /// told once.
    last: BTreeMap<(String, String), i64>,
}

impl Prometheus {
    pub(crate) fn new(source: &PrometheusSource, target: &Target) -> Result<Self, String> {
        let http = Http::new(&target.address, &source.trust, &source.login)?;
        let asked = source.series.iter().map(|series| {
            let meaning = NamedPoint::new(&series.point, &series.unit, series.scale)
                .map_err(|why| format!("line {}: {why}", series.line))?;
            let question = Question::live(&series.query, source.stale);
            Ok(Asked { series: series.clone(), meaning, question, last: BTreeMap::new() })
        });
        let asked = asked.collect::<Result<_, String>>()?;
        Ok(Self { http, domain: target.domain.clone(), asked })
    }
}

impl Meter for Prometheus {
    async fn read(&mut self) -> Result<Round, MeterError> {
        let mut round = Round::default();
        let mut seen = BTreeSet::new();
        for asked in &mut self.asked {
            let path = format!("{}{}", self.http.base(), asked.question.path);
            let answer = self.http.get(&path).await?;
            // Its 400 and 422 say in JSON what is wrong with the question.
            if !(answer.status == StatusCode::OK || answer.status.is_client_error()) {
                return Err(MeterError::Nonsense(format!("it answered {}", answer.status)));
            }
            match answer::parse(&answer.body) {
                Ok(series) => asked.take(series, &self.domain, &mut seen, &mut round),
                Err(why) if answer.status == StatusCode::OK => {
                    return Err(MeterError::Nonsense(why));
                }
                // One wrong question keeps none of the others from being asked.
                Err(why) => round.wrong.push(cut(&format!("{}: {why}", asked.series.query))),
            }
        }
        Ok(round)
    }
}

impl Asked {
    /// Adds what one question brought. Points that an earlier series of the round has told are
    /// told by that one alone.
    fn take(
        &mut self,
        series: Vec<Samples>,
        target: &str,
        seen: &mut BTreeSet<(String, String)>,
        round: &mut Round,
    ) {
        if series.is_empty() {
            round.wrong.push(cut(&format!("{}: no sample", self.series.query)));
        }
        let mut last = BTreeMap::new();
        for samples in series {
            let at = match self.place(&samples.labels, target) {
                Ok(at) => at,
                Err(why) => {
                    round.wrong.push(cut(&format!("{}: {why}", self.series.query)));
                    continue;
                }
            };
            if !seen.insert(at.clone()) {
                let what =
                    format!("{}: a second series is {} of {}", self.series.query, at.1, at.0);
                round.wrong.push(cut(&what));
                continue;
            }
            if let Some(newest) = self.add(&samples, &at, round) {
                last.insert(at, newest);
            }
        }
        // A series that is gone needs no memory.
        self.last = last;
    }

    fn place(&self, labels: &Labels, target: &str) -> Result<(String, String), String> {
        let label = |name: &str| {
            let value = labels.get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("a series without the label {name}"))
        };
        let domain = match &self.series.domain {
            SeriesDomain::Target => target.to_owned(),
            SeriesDomain::Fixed(domain) => domain.clone(),
            SeriesDomain::Label(name) => label(name)?.clone(),
        };
        let point = match &self.series.line_label {
            None => self.meaning.point.clone(),
            Some(name) => {
                let line = label(name)?;
                on_line(&self.meaning.point, line)
                    .ok_or_else(|| format!("{name} = {line:?} is no line of a supply"))?
            }
        };
        Ok((domain, point))
    }

    /// Adds the samples that were not told before, and returns the stamp of the newest.
    fn add(&self, samples: &Samples, at: &(String, String), round: &mut Round) -> Option<i64> {
        let last = self.last.get(at).copied();
        let newest = samples.samples.last()?.0;
        for (stamp_ns, number) in &samples.samples {
            // The newest is told again: its meter is alive as long as it is in the window.
            let is_new = last.is_none_or(|last| *stamp_ns > last) || *stamp_ns == newest;
            if !is_new {
                continue;
            }
            let Some(value) = self.meaning.value(*number) else {
                let what = format!("{}: no number for {} of {}", self.series.query, at.1, at.0);
                round.wrong.push(cut(&what));
                continue;
            };
            if round.readings.len() >= READINGS_MAX {
                round.wrong.push(format!("more than {READINGS_MAX} samples at once"));
                break;
            }
            let mut reading = Reading::new(&at.0, at.1.clone(), value);
            reading.stamp_ns = Some(*stamp_ns);
            round.readings.push(reading);
        }
        Some(newest)
    }
}

/// A text of a server's, as long as anybody reads it.
fn cut(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests;
