//! Checks that a fault can match a route or an event type.

use crate::api::ROUTES;
use crate::concierge::event_types;
use crate::faults::{Fault, FaultTarget, METHODS, RequestFault, WebhookFault};

/// Returns the member that makes a fault match nothing, and the detail of the error. `None`: the fault can match.
pub fn mismatch(fault: &Fault) -> Option<(&'static str, String)> {
    match &fault.on {
        FaultTarget::Requests(RequestFault { method, path, .. }) => {
            let mut answered: Vec<&str> = Vec::new();
            for route in ROUTES.iter().filter(|route| path.matches_template(route.path)) {
                answered.extend(route.methods());
            }
            if answered.is_empty() {
                let detail = format!("`path` is {:?}; it must match a documented path of the API", path.as_str());
                return Some(("path", detail));
            }
            method.filter(|method| !answered.contains(method)).map(|method| {
                let known: Vec<&str> = METHODS.into_iter().filter(|method| answered.contains(method)).collect();
                ("method", format!("`method` is {method:?}; it must be one of this path's: {}", known.join(", ")))
            })
        }
        FaultTarget::Webhooks(WebhookFault { events, .. }) => {
            let matches_any = event_types::NAMES.iter().any(|name| events.matches(name));
            (!matches_any).then(|| {
                let known = event_types::NAMES.join(", ");
                ("webhook", format!("`webhook` is {:?}; it must match one of {known}", events.as_str()))
            })
        }
    }
}
