//! The operators' door: submit, watch, stop, resume, runs, agents, report.

use std::pin::Pin;
use std::time::Duration;

use proto::v1;
use proto::v1::operator_service_server::OperatorService;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::door::operator_of;
use crate::evidence;
use crate::hall::{Admission, Hall, SubmitError};
use crate::store::StoreError;
use crate::sweep::{NotNow, Sweep};

/// Distance of status messages to a watcher.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Documents longer than this are not plans.
const DOCUMENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a submit may wait for the agents that it asks for.
const AGENTS_DEADLINE: Duration = Duration::from_secs(60);

/// The operators' service.
#[derive(Clone)]
pub(crate) struct OperatorDoor {
    hall: Hall,
}

impl OperatorDoor {
    /// The door to a hall.
    #[must_use]
    pub(crate) fn new(hall: Hall) -> Self {
        Self { hall }
    }

    async fn wait_for_agents(&self, least: u32) -> Result<(), Status> {
        let deadline = tokio::time::Instant::now() + AGENTS_DEADLINE;
        loop {
            let ready = self.hall.agents_there();
            if ready >= least.max(1) as usize {
                return Ok(());
            }
            if least == 0 || tokio::time::Instant::now() >= deadline {
                return Err(Status::failed_precondition(format!(
                    "{ready} of {} agents are connected: start loadbank-agent on the nodes first",
                    least.max(1)
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tonic::async_trait]
impl OperatorService for OperatorDoor {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::RunStatus, Status>> + Send>>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let who = operator_of(&request, &request.get_ref().who);
        let asked = v1::SubmitRequest { who, ..request.into_inner() };
        let least = asked.least_agents;
        let admission = read_documents(asked)?;
        self.wait_for_agents(least).await?;
        let (run_id, warnings) = self.hall.submit(admission).await.map_err(refused)?;
        let folder = self.hall.config.folder_of(&run_id).display().to_string();
        Ok(Response::new(v1::SubmitReply { run_id, folder, warnings }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let asked = request.into_inner().run_id;
        let first = self.hall.status(&asked).ok_or_else(|| unknown_run(&asked))?;
        let (updates, stream) = mpsc::channel(4);
        tokio::spawn(follow(self.hall.clone(), first, updates));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn stop(
        &self,
        request: Request<v1::StopRequest>,
    ) -> Result<Response<v1::StopReply>, Status> {
        let who = operator_of(&request, &request.get_ref().who);
        let asked = request.into_inner();
        let (run_id, state) = self.hall.stop(&asked.run_id, asked.now, &who).map_err(refused)?;
        Ok(Response::new(v1::StopReply { run_id, state }))
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeReply>, Status> {
        let who = operator_of(&request, &request.get_ref().who);
        let asked = request.into_inner();
        if !asked.interlock.is_empty() {
            let lifted = self.hall.resume_interlock(&asked.interlock, &who);
            let run_id = lifted.map_err(refused)?;
            return Ok(Response::new(v1::ResumeReply { run_id, ..v1::ResumeReply::default() }));
        }
        let resumed = self.hall.resume(&asked.run_id, &who).await.map_err(refused)?;
        Ok(Response::new(v1::ResumeReply {
            run_id: resumed.run,
            phase_index: resumed.phase as u32,
            phase: resumed.name,
        }))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseReply>, Status> {
        let who = releaser_of(&request)?;
        let asked = request.into_inner();
        let step = u8::try_from(asked.step).unwrap_or(u8::MAX);
        let run_id =
            self.hall.release(&asked.run_id, step, &who, &asked.asked_by).map_err(refused)?;
        Ok(Response::new(v1::ReleaseReply { run_id, step: asked.step }))
    }

    async fn add_sweep(
        &self,
        request: Request<v1::Sweep>,
    ) -> Result<Response<v1::SweepReply>, Status> {
        let who = operator_of(&request, &request.get_ref().who);
        let asked = v1::Sweep { who, ..request.into_inner() };
        let name = asked.name.clone();
        self.hall.add_sweep(sweep_of(asked)?).map_err(Status::invalid_argument)?;
        Ok(Response::new(v1::SweepReply { sweep: self.hall.sweep_entry(&name) }))
    }

    async fn remove_sweep(
        &self,
        request: Request<v1::SweepRequest>,
    ) -> Result<Response<v1::SweepReply>, Status> {
        let name = request.into_inner().name;
        let sweep = self.hall.sweep_entry(&name);
        self.hall.remove_sweep(&name).map_err(Status::invalid_argument)?;
        Ok(Response::new(v1::SweepReply { sweep }))
    }

    async fn run_sweep(
        &self,
        request: Request<v1::SweepRequest>,
    ) -> Result<Response<v1::SweepReply>, Status> {
        let name = request.into_inner().name;
        self.hall.sweep_now(&name).map_err(|error| match error {
            NotNow::Busy(why) => Status::failed_precondition(why),
            NotNow::Wrong(why) => Status::invalid_argument(why),
        })?;
        Ok(Response::new(v1::SweepReply { sweep: self.hall.sweep_entry(&name) }))
    }

    async fn sweeps(
        &self,
        _request: Request<v1::SweepsRequest>,
    ) -> Result<Response<v1::SweepsReply>, Status> {
        Ok(Response::new(v1::SweepsReply { sweeps: self.hall.sweep_entries() }))
    }

    async fn runs(
        &self,
        _request: Request<v1::RunsRequest>,
    ) -> Result<Response<v1::RunsReply>, Status> {
        let rows = self.hall.runs();
        let entry = |row: crate::store::RunRow| v1::RunEntry {
            run_id: row.run,
            plan: row.plan,
            site: row.site,
            state: row.state,
            verdict: row.verdict,
            started_ns: row.started_ns,
            ended_ns: row.ended_ns,
            folder: row.folder,
        };
        Ok(Response::new(v1::RunsReply { runs: rows.into_iter().map(entry).collect() }))
    }

    async fn agents(
        &self,
        _request: Request<v1::AgentsRequest>,
    ) -> Result<Response<v1::AgentsReply>, Status> {
        Ok(Response::new(self.hall.agents()))
    }

    async fn mark(
        &self,
        request: Request<v1::MarkRequest>,
    ) -> Result<Response<v1::MarkReply>, Status> {
        // Before anything else: the instant is what this is for.
        let at_ns = self.hall.clock.now_ns();
        let who = operator_of(&request, &request.get_ref().who);
        let asked = request.into_inner();
        let run_id = self.hall.mark(&asked.run_id, at_ns, &who, &asked.text).map_err(refused)?;
        Ok(Response::new(v1::MarkReply { run_id, at_ns }))
    }

    async fn meters(
        &self,
        _request: Request<v1::MetersRequest>,
    ) -> Result<Response<v1::MetersReply>, Status> {
        Ok(Response::new(self.hall.meters()))
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportReply>, Status> {
        let asked = request.into_inner().run_id;
        let status = self.hall.status(&asked).ok_or_else(|| unknown_run(&asked))?;
        let folder = self.hall.config.folder_of(&status.run_id);
        let _ = self.hall.writer.flush().await;
        let report = tokio::task::spawn_blocking(move || evidence::report_of(&folder))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(|error| damaged(&error))?;
        let json = serde_json::to_string(&report).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(v1::ReportReply { json }))
    }
}

/// Who releases: nobody does it in another's name.
#[allow(clippy::result_large_err, reason = "the library's own error")]
fn releaser_of(request: &Request<v1::ReleaseRequest>) -> Result<String, Status> {
    let said = &request.get_ref().who;
    let who = operator_of(request, said);
    if who == *said {
        return Ok(who);
    }
    Err(Status::permission_denied(format!(
        "the certificate is that of {who}, who can't release as {said:?}: the permit must name \
         {who}, who says `--who {who}`"
    )))
}

fn read_documents(asked: v1::SubmitRequest) -> Result<Admission, Status> {
    let long = [&asked.plan_toml, &asked.site_toml].iter().any(|t| t.len() > DOCUMENT_BYTES_MAX);
    if long {
        return Err(Status::invalid_argument("a document is longer than 2 MiB"));
    }
    let (plan, site) = evidence::parse_documents(
        (&asked.plan_file, &asked.plan_toml),
        (&asked.site_file, &asked.site_toml),
        &asked.on,
    )
    .map_err(Status::invalid_argument)?;
    Ok(Admission {
        plan,
        plan_toml: asked.plan_toml,
        site,
        site_toml: asked.site_toml,
        on: asked.on,
        allow_unrated: asked.allow_unrated,
        inject: asked.inject,
        affirmed: asked.affirmed,
        who: asked.who,
        left_out: std::collections::BTreeSet::new(),
        swept: None,
    })
}

/// A sweep whose documents make sense, as a run's must.
fn sweep_of(asked: v1::Sweep) -> Result<Sweep, Status> {
    let documents = v1::SubmitRequest {
        plan_toml: asked.plan_toml.clone(),
        plan_file: asked.plan_file.clone(),
        site_toml: asked.site_toml.clone(),
        site_file: asked.site_file.clone(),
        on: asked.on.clone(),
        ..v1::SubmitRequest::default()
    };
    read_documents(documents)?;
    Ok(Sweep {
        name: asked.name,
        at: asked.at,
        zone: asked.zone,
        plan_file: asked.plan_file,
        plan_toml: asked.plan_toml,
        site_file: asked.site_file,
        site_toml: asked.site_toml,
        on: asked.on,
        allow_unrated: asked.allow_unrated,
        window: asked.window,
        before: asked.before,
        after: asked.after,
        hook_seconds: asked.hook_seconds,
        affirmed: asked.affirmed,
        who: asked.who,
        added_ns: jiff::Timestamp::now().as_nanosecond() as i64,
    })
}

async fn follow(
    hall: Hall,
    first: v1::RunStatus,
    updates: mpsc::Sender<Result<v1::RunStatus, Status>>,
) {
    let run = first.run_id.clone();
    let mut status = Some(first);
    while let Some(present) = status {
        let ended = present.ended;
        if updates.send(Ok(present)).await.is_err() || ended {
            return;
        }
        // An end is told at once, progress twice a second.
        let _ = tokio::time::timeout(WATCH_INTERVAL, hall.ended.notified()).await;
        status = hall.status(&run);
    }
}

fn unknown_run(run: &str) -> Status {
    let what = if run.is_empty() { "no run yet".to_owned() } else { format!("no run {run} here") };
    Status::not_found(format!("{what}: see `loadbank runs`"))
}

fn refused(error: SubmitError) -> Status {
    match &error {
        SubmitError::Busy(_) | SubmitError::NoAgents => {
            Status::failed_precondition(error.to_string())
        }
        SubmitError::Refused(_) => Status::invalid_argument(error.to_string()),
        SubmitError::Store(_) => Status::unavailable(error.to_string()),
    }
}

fn damaged(error: &StoreError) -> Status {
    Status::data_loss(error.to_string())
}
