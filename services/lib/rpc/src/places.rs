//! What the sources of discovery say of one role's replicas, made one list.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::{Address, replica::members::Members};

/// A replica as Kubernetes knows it, and whether it is ready: takes new calls. One that is not is starting or terminating and
/// takes calls only when no other is there.
pub(crate) type Endpoint = (Address, bool);

/// One role's replicas from all sources.
pub(crate) struct Place {
    pub(crate) members: Arc<Members>,
    listed: Vec<Address>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    dns: Vec<Address>,
    /// `None` until the API server has answered once.
    kubernetes: Option<Vec<Endpoint>>,
    /// The API server has been away for a while: its last answer stands, and DNS may know more.
    stale: bool,
}

impl Place {
    pub(crate) fn new(members: Arc<Members>, listed: Vec<Address>) -> Self {
        let place = Self { members, listed, found: Mutex::default() };
        place.apply(&Found::default());
        place
    }

    pub(crate) fn set_dns(&self, addresses: Vec<Address>) {
        self.change(|found| found.dns = addresses);
    }

    #[cfg(feature = "kubernetes")]
    pub(crate) fn set_kubernetes(&self, endpoints: Vec<Endpoint>) {
        self.change(|found| {
            found.kubernetes = Some(endpoints);
            found.stale = false;
        });
    }

    #[cfg(feature = "kubernetes")]
    pub(crate) fn set_stale(&self) {
        self.change(|found| found.stale = true);
    }

    fn change(&self, change: impl FnOnce(&mut Found)) {
        let mut found = self.found.lock();
        change(&mut found);
        self.apply(&found);
    }

    fn apply(&self, found: &Found) {
        self.members.update(&merge(&self.listed, found));
    }
}

/// Every replica, and whether it is held back. DNS counts while Kubernetes has nothing to say, or nothing new.
fn merge(listed: &[Address], found: &Found) -> BTreeMap<Address, bool> {
    let watched = found.kubernetes.as_deref().unwrap_or_default();
    let with_dns = found.stale || watched.is_empty();
    let mut all: BTreeMap<Address, bool> =
        found.dns.iter().filter(|_| with_dns).map(|address| (address.clone(), false)).collect();
    for (address, ready) in watched {
        // Two slices may hold one endpoint while it moves from one to the other.
        let known = all.get(address).copied();
        all.insert(address.clone(), !ready && known.unwrap_or(true));
    }
    all.extend(listed.iter().map(|address| (address.clone(), false)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Address {
        Address::new("10.0.0.1", port)
    }

    fn endpoint(port: u16, ready: bool) -> Endpoint {
        (at(port), ready)
    }

    #[test]
    fn dns_counts_only_while_kubernetes_is_silent() {
        let mut found = Found { dns: vec![at(1)], ..Found::default() };
        let ports = |found: &Found| merge(&[at(9)], found).keys().map(Address::port).collect::<Vec<_>>();
        assert_eq!(ports(&found), [1, 9]);
        found.kubernetes = Some(vec![endpoint(2, true)]);
        assert_eq!(ports(&found), [2, 9]);
        found.stale = true;
        assert_eq!(ports(&found), [1, 2, 9]);
        found = Found { kubernetes: Some(Vec::new()), stale: false, ..found };
        assert_eq!(ports(&found), [1, 9]);
    }

    #[test]
    fn an_endpoint_is_held_back_unless_one_slice_calls_it_ready() {
        let endpoints =
            vec![endpoint(1, false), endpoint(2, true), endpoint(2, false), endpoint(3, false), endpoint(3, true)];
        let found = Found { kubernetes: Some(endpoints), ..Found::default() };
        let held: Vec<bool> = merge(&[], &found).into_values().collect();
        assert_eq!(held, [true, false, false]);
    }
}
