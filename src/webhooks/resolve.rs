//! Names, resolved to addresses that may be called.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

use crate::events::address::AddressRules;

/// The machine's resolver.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Resolve for Machine {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // the caller puts the URL's port in the place of 0
            let found: Vec<_> = lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Another resolver without the addresses that may not be called: what is left is what is connected to.
pub struct Checked {
    pub resolver: Arc<dyn Resolve>,
    pub rules: Arc<AddressRules>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, rules) = (self.resolver.resolve(name), Arc::clone(&self.rules));
        Box::pin(async move {
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in found.await.map_err(|_| Unresolved)? {
                match rules.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(refusal) => refused = refused.or(Some(refusal)),
                }
            }
            match refused {
                _ if !allowed.is_empty() => Ok(Box::new(allowed.into_iter()) as Addrs),
                Some(refusal) => Err(refusal.into()),
                None => Err(Unresolved.into()),
            }
        })
    }
}

/// That a name has no address, or none that could be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name could not be resolved")]
pub struct Unresolved;
