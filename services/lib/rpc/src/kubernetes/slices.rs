//! The endpoint slices as they are now: pure.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::{self as api, EndpointSlice};

use crate::{Address, places::Endpoint};

/// The label that names a slice's Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

pub(super) struct Slices {
    /// The name of the Services' port.
    port: String,
    by_name: BTreeMap<String, Slice>,
}

struct Slice {
    service: String,
    endpoints: Vec<Endpoint>,
}

impl Slices {
    pub(super) fn new(port: &str) -> Self {
        Self { port: port.to_owned(), by_name: BTreeMap::new() }
    }

    /// A new list: what it does not hold is gone.
    pub(super) fn replace(&mut self, slices: &[EndpointSlice]) {
        self.by_name.clear();
        for slice in slices {
            self.apply(slice);
        }
    }

    pub(super) fn apply(&mut self, slice: &EndpointSlice) {
        let (Some(name), Some(service)) = (&slice.metadata.name, service_of(slice)) else { return };
        let endpoints = self.read(slice);
        self.by_name.insert(name.clone(), Slice { service: service.clone(), endpoints });
    }

    pub(super) fn remove(&mut self, slice: &EndpointSlice) {
        if let Some(name) = &slice.metadata.name {
            self.by_name.remove(name);
        }
    }

    /// All endpoints of a Service.
    pub(super) fn endpoints(&self, service: &str) -> Vec<Endpoint> {
        let of_service = self.by_name.values().filter(|slice| slice.service == service);
        of_service.flat_map(|slice| slice.endpoints.iter().cloned()).collect()
    }

    fn read(&self, slice: &EndpointSlice) -> Vec<Endpoint> {
        let mut ports = slice.ports.iter().flatten();
        let named = ports.find(|port| port.name.as_deref() == Some(&self.port)).and_then(|port| port.port);
        // an FQDN slice has names for addresses, which nobody resolves here
        let port = named.and_then(|port| u16::try_from(port).ok()).filter(|_| slice.address_type != "FQDN");
        let Some(port) = port else { return Vec::new() };
        slice.endpoints.iter().filter_map(|endpoint| to_endpoint(endpoint, port)).collect()
    }
}

/// All addresses of an endpoint are the same pod: the first is enough.
fn to_endpoint(endpoint: &api::Endpoint, port: u16) -> Option<Endpoint> {
    let host = endpoint.addresses.first()?;
    let conditions = endpoint.conditions.as_ref();
    // left out means ready (KEP-752); a terminating pod is ready only where a Service publishes unready addresses
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let terminating = conditions.and_then(|conditions| conditions.terminating).unwrap_or(false);
    Some((Address::new(host.clone(), port), ready && !terminating))
}

fn service_of(slice: &EndpointSlice) -> Option<&String> {
    slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)
}
