//! Resolution of names to allowed addresses.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

use crate::events::address::{AddressRules, is_private};

/// The machine's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // the caller replaces port 0 with the URL's port
            let found: Vec<_> = lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A resolver that removes refused addresses from the results of another. The client connects to the rest only.
#[derive(Clone)]
pub struct CheckedResolver {
    pub resolver: Arc<dyn Resolve>,
    pub rules: Arc<AddressRules>,
    /// True if addresses outside this machine and its private networks are removed, too.
    pub is_private: bool,
}

impl CheckedResolver {
    /// Returns whether a name has an address, and all of them are on this machine or in a private network.
    pub async fn is_private(&self, name: &str) -> bool {
        let Ok(name) = name.parse() else { return false };
        let Ok(mut found) = self.resolve(name).await else { return false };
        found.all(|address| is_private(address.ip()))
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, rules) = (self.resolver.resolve(name), Arc::clone(&self.rules));
        let only_private = self.is_private;
        Box::pin(async move {
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in found.await.map_err(|_| Unresolved)? {
                match rules.check(address.ip()) {
                    Ok(()) if only_private && !is_private(address.ip()) => {}
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

/// A name without an address, or a failed lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name could not be resolved")]
pub struct Unresolved;
