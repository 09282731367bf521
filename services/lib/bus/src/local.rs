//! The bus within one process: a publisher appends to every matching subscription's queue.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::RwLock;

use crate::{Config, inbox::Inbox, metrics::METRICS, subject};

#[derive(Debug)]
pub(crate) struct LocalBus {
    subscriptions: RwLock<Vec<(String, Weak<Inbox>)>>,
    receive_buffer_bytes: usize,
}

impl LocalBus {
    pub(crate) fn new(config: &Config) -> Self {
        METRICS.connected.set(1);
        Self { subscriptions: RwLock::default(), receive_buffer_bytes: config.receive_buffer_bytes }
    }

    pub(crate) fn publish(&self, subject: &str, payload: &Bytes) {
        METRICS.published.inc();
        let mut shared: Option<Arc<str>> = None;
        for (pattern, inbox) in self.subscriptions.read().iter() {
            if subject::matches(pattern, subject)
                && let Some(inbox) = inbox.upgrade()
            {
                let subject = shared.get_or_insert_with(|| subject.into());
                inbox.push(Arc::clone(subject), payload.clone());
            }
        }
    }

    pub(crate) fn subscribe(&self, subject: &str) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::new(self.receive_buffer_bytes));
        let mut subscriptions = self.subscriptions.write();
        subscriptions.retain(|(_, inbox)| inbox.strong_count() > 0);
        subscriptions.push((subject.to_owned(), Arc::downgrade(&inbox)));
        drop(subscriptions);
        inbox.reset();
        inbox
    }
}
