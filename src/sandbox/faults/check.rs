//! Whether a fault can match anything that this server does.

use crate::api::ROUTES;
use crate::concierge::event_types;
use crate::faults::METHODS;
use crate::faults::{Fault, On, RequestFault, WebhookFault};

/// The member by which a fault matches nothing, and why; `None` where there is something that it can match.
pub fn mismatch(fault: &Fault) -> Option<(&'static str, String)> {
    match &fault.on {
        On::Requests(RequestFault { method, path, .. }) => {
            let mut answered: Vec<&str> = Vec::new();
            for route in ROUTES.iter().filter(|route| path.matches_template(route.path)) {
                answered.extend(route.methods);
                answered.extend(route.methods.contains(&"GET").then_some("HEAD"));
            }
            if answered.is_empty() {
                let detail = format!("is {:?}; no path of the API matches it, see the README's table", path.as_str());
                return Some(("path", detail));
            }
            method.filter(|method| !answered.contains(method)).map(|method| {
                let known: Vec<&str> = METHODS.into_iter().filter(|method| answered.contains(method)).collect();
                ("method", format!("is {method:?}; such a path answers {}", known.join(", ")))
            })
        }
        On::Webhooks(WebhookFault { events, .. }) => {
            let matches_any = event_types::NAMES.iter().any(|name| events.matches(name));
            (!matches_any).then(|| {
                let known = event_types::NAMES.join(", ");
                ("webhook", format!("is {:?}; no type of events matches it, they are {known}", events.as_str()))
            })
        }
    }
}
