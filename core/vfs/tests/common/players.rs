//! Machines that stand in for the metadata and storage clients: they carry requests to the [`Cluster`] after a while.

use super::cluster::{Cluster, Fault};
use flyer_client::storage::{FileView, Want};
use flyer_client::{meta, storage};
use flyer_types::ids::OpId;
use flyer_types::{Effects, Machine, Reason, Rng, Span, Time};
use flyer_wire::msg::meta::call::ReqBase;
use flyer_wire::service::meta::Request;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What is under way, by the time at which it is carried out.
type Queue<T> = BTreeMap<(Time, u64), T>;

/// Time between two tries of what is done in the background.
const AGAIN: Span = Span::from_secs(1);

pub(crate) struct MetaPlayer {
    shared: Arc<Mutex<Cluster>>,
    queue: Queue<(Option<OpId>, Request)>,
    count: u64,
    rng: Rng,
}

impl MetaPlayer {
    pub(crate) fn new(shared: &Arc<Mutex<Cluster>>) -> Self {
        let rng = Rng::from_seed(shared.lock().unwrap().rng.next_u64());
        Self {
            shared: Arc::clone(shared),
            queue: Queue::new(),
            count: 0,
            rng,
        }
    }

    fn enqueue(&mut self, at: Time, op: Option<OpId>, request: Request) {
        self.count += 1;
        self.queue.insert((at, self.count), (op, request));
    }

    /// Fills in what a client fills in.
    fn complete(&mut self, request: &mut Request) {
        base_mut(request).uuid = self.rng.uuid();
    }
}

impl Machine for MetaPlayer {
    type In = meta::In<OpId>;
    type Out = meta::Out<OpId>;

    fn handle(&mut self, now: Time, input: Self::In, _: &mut Effects<Self::Out>) {
        let at = self.shared.lock().unwrap().draw_time(now);
        match input {
            meta::In::Start { op, mut request } => {
                self.complete(&mut request);
                self.enqueue(at, Some(op), request);
            }
            meta::In::Background(mut request) => {
                self.complete(&mut request);
                self.enqueue(at, None, request);
            }
            meta::In::Cancel(op) => self.queue.retain(|_, (of, _)| *of != Some(op)),
            meta::In::Answer { .. } | meta::In::Routing(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Self::Out>) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= now
        {
            let (op, request) = entry.remove();
            let mut cluster = self.shared.lock().unwrap();
            let mut fault = cluster.meta_fault.take();
            let trouble = fault.as_mut().and_then(|fault| fault(&request));
            cluster.meta_fault = fault;
            let answer = match trouble {
                None => cluster.ask(now, request.clone()),
                Some(Fault::Refused(status)) => Err(status),
                Some(Fault::Lost(status)) => {
                    let _ = cluster.ask(now, request.clone());
                    Err(status)
                }
                Some(Fault::Late(span)) => {
                    drop(cluster);
                    self.enqueue(now + span, op, request);
                    continue;
                }
            };
            drop(cluster);
            match (op, answer) {
                (Some(op), answer) => out.push(meta::Out::Done { op, answer }),
                (None, Err(_)) => self.enqueue(now + AGAIN, None, request),
                (None, Ok(_)) => {}
            }
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let (at, _) = *self.queue.first_key_value()?.0;
        Some((at, Reason::named("player.meta")))
    }

    fn check(&self) {}
}

pub(crate) struct StoragePlayer {
    shared: Arc<Mutex<Cluster>>,
    queue: Queue<(OpId, FileView, Want)>,
    count: u64,
}

impl StoragePlayer {
    pub(crate) fn new(shared: &Arc<Mutex<Cluster>>) -> Self {
        Self {
            shared: Arc::clone(shared),
            queue: Queue::new(),
            count: 0,
        }
    }

    fn enqueue(&mut self, at: Time, item: (OpId, FileView, Want)) {
        self.count += 1;
        self.queue.insert((at, self.count), item);
    }
}

impl Machine for StoragePlayer {
    type In = storage::In<OpId>;
    type Out = storage::Out<OpId>;

    fn handle(&mut self, now: Time, input: Self::In, _: &mut Effects<Self::Out>) {
        match input {
            storage::In::Start { op, file, want } => {
                let at = self.shared.lock().unwrap().draw_time(now);
                self.enqueue(at, (op, file, want));
            }
            storage::In::Answer { .. } | storage::In::Routing(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Self::Out>) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= now
        {
            let (op, file, want) = entry.remove();
            let mut cluster = self.shared.lock().unwrap();
            let mut fault = cluster.storage_fault.take();
            let trouble = fault.as_mut().and_then(|fault| fault(file.inode, &want));
            cluster.storage_fault = fault;
            let outcome = match trouble {
                None => Ok(cluster.carry_out(&file, &want, false)),
                Some(Fault::Refused(status)) => Err(status),
                Some(Fault::Lost(status)) => {
                    let _ = cluster.carry_out(&file, &want, true);
                    Err(status)
                }
                Some(Fault::Late(span)) => {
                    drop(cluster);
                    self.enqueue(now + span, (op, file, want));
                    continue;
                }
            };
            drop(cluster);
            out.push(storage::Out::Done { op, outcome });
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let (at, _) = *self.queue.first_key_value()?.0;
        Some((at, Reason::named("player.storage")))
    }

    fn check(&self) {}
}

/// What each request begins with.
fn base_mut(request: &mut Request) -> &mut ReqBase {
    macro_rules! bases {
        ($($call:ident)*) => {
            match request {
                $(Request::$call(request) => &mut request.base,)*
            }
        };
    }
    bases!(StatFs Stat Create Mkdirs Symlink HardLink Remove Open Sync Close Rename List Truncate GetRealPath SetAttr
        PruneSession DropUserCache Authenticate LockDirectory BatchStat BatchStatByPath TestRpc)
}
