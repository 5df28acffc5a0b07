//! An SNMP agent with a table of values.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock, mpsc};
use std::thread::JoinHandle;

use async_snmp::agent::Agent;
use async_snmp::handler::{
    BoxFuture, GetNextResult, GetResult, HandlerResult, MibHandler, OidTable, RequestContext,
};
use async_snmp::v3::{
    AuthProtocol, AuthoritativeEngine, DesSaltState, PersistedAuthoritativeEngine,
    PersistedDesSaltState, PrivProtocol,
};
use async_snmp::{Oid, Value, VarBind};

/// Password and key of every user here.
pub const AUTH_PASSWORD: &str = "authenticates-well";
pub const PRIVACY_PASSWORD: &str = "hides-well";
/// The community that the agent knows.
pub const COMMUNITY: &str = "meters";

/// A user that the agent knows.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub auth: AuthProtocol,
    pub privacy: Option<PrivProtocol>,
}

type Stop = Box<dyn Fn() + Send + Sync>;

/// A running agent; it ends when this is dropped.
pub struct FakeAgent {
    address: SocketAddr,
    values: Values,
    users: Vec<User>,
    boots: u32,
    running: Option<Running>,
}

struct Running {
    stop: Stop,
    thread: JoinHandle<()>,
}

impl FakeAgent {
    /// Starts an agent that knows [`COMMUNITY`] and these users.
    #[must_use]
    pub fn start(users: &[User]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut agent = Self {
            address: any,
            values: Values::default(),
            users: users.to_vec(),
            boots: 1,
            running: None,
        };
        agent.run();
        agent
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, oid: &str, value: Value) {
        self.values.0.write().unwrap().insert(Oid::parse(oid).unwrap(), value);
    }

    pub fn set_all(&self, values: impl IntoIterator<Item = (Oid, Value)>) {
        let mut table = self.values.0.write().unwrap();
        for (oid, value) in values {
            table.insert(oid, value);
        }
    }

    pub fn remove(&self, oid: &str) {
        self.values.0.write().unwrap().remove(&Oid::parse(oid).unwrap());
    }

    /// As a power cycle: the same address and engine, one more boot, a clock from zero.
    pub fn restart(&mut self) {
        self.stop();
        self.boots += 1;
        self.run();
    }

    /// Off, until [`Self::restart`].
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            (running.stop)();
            running.thread.join().unwrap();
        }
    }

    fn run(&mut self) {
        let (tell, told) = mpsc::channel();
        let (users, values) = (self.users.clone(), self.values.clone());
        let (address, boots) = (self.address, self.boots);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let agent = build(address, boots, &users, values).await;
                let token = agent.cancellation_token();
                let stop: Stop = Box::new(move || token.cancel());
                tell.send((agent.local_addr(), stop)).unwrap();
                agent.run().await.unwrap();
            });
        });
        let (address, stop) = told.recv().unwrap();
        self.address = address;
        self.running = Some(Running { stop, thread });
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            (running.stop)();
            let _ = running.thread.join();
        }
    }
}

async fn build(address: SocketAddr, boots: u32, users: &[User], values: Values) -> Agent {
    // A restart counts the boot itself.
    let kept = PersistedAuthoritativeEngine::new(b"fake-plant".to_vec(), boots).unwrap();
    let engine = AuthoritativeEngine::restart(kept, |_| Ok::<(), Infallible>(())).unwrap();
    let salts = PersistedDesSaltState::new(boots).unwrap();
    let salts = DesSaltState::restart(salts, |_| Ok::<(), Infallible>(())).unwrap();
    let mut builder = Agent::builder()
        .bind(address.to_string())
        .community(COMMUNITY)
        .authoritative_engine(engine)
        .des_salt_state(salts)
        .allow_all_access()
        .handler(Oid::from_slice(&[1, 3]), Arc::new(values));
    for User { name, auth, privacy } in users {
        builder = builder
            .usm_user(name.clone(), |user| match privacy {
                Some(privacy) => user.auth_priv(*auth, AUTH_PASSWORD, *privacy, PRIVACY_PASSWORD),
                None => user.auth(*auth, AUTH_PASSWORD),
            })
            .unwrap();
    }
    builder.build().await.unwrap()
}

#[derive(Clone, Default)]
struct Values(Arc<RwLock<OidTable<Value>>>);

impl MibHandler for Values {
    fn get<'a>(
        &'a self,
        _: &'a RequestContext,
        oid: &'a Oid,
    ) -> BoxFuture<'a, HandlerResult<GetResult>> {
        let value = self.0.read().unwrap().get(oid).cloned();
        Box::pin(async move { Ok(value.map_or(GetResult::NoSuchObject, GetResult::Value)) })
    }

    fn get_next<'a>(
        &'a self,
        _: &'a RequestContext,
        oid: &'a Oid,
    ) -> BoxFuture<'a, HandlerResult<GetNextResult>> {
        let table = self.0.read().unwrap();
        let next =
            table.get_next(oid).map(|(next, value)| VarBind::new(next.clone(), value.clone()));
        Box::pin(async move { Ok(next.map_or(GetNextResult::EndOfMibView, GetNextResult::Value)) })
    }
}
