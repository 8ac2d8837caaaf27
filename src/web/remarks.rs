//! Remarks on a request that succeeds, although a part of its document has no effect or not the likely one.
//!
//! The client sees nothing of them. The control plane makes advice of them.

use axum::response::Response;

use crate::concierge::outputs::misspelling::Misspelling;
use crate::jsonapi::document::strays::Stray;

/// A remark on a request.
#[derive(Debug, Clone)]
pub enum Remark {
    MemberUnknown(Stray),
    TestValueUnknown(Misspelling),
}

/// All remarks on a request, as an extension of its answer.
#[derive(Debug, Clone, Default)]
struct Remarks(Vec<Remark>);

/// Adds remarks to the answer of a request. Most requests have none, and none costs nothing.
pub fn remarked(mut response: Response, remarks: impl IntoIterator<Item = impl Into<Remark>>) -> Response {
    let mut remarks = remarks.into_iter().map(Into::into).peekable();
    if remarks.peek().is_some() {
        response.extensions_mut().get_or_insert_default::<Remarks>().0.extend(remarks);
    }
    response
}

/// Takes the remarks from an answer.
pub fn take_remarks(response: &mut Response) -> Vec<Remark> {
    response.extensions_mut().remove::<Remarks>().unwrap_or_default().0
}

impl From<Stray> for Remark {
    fn from(stray: Stray) -> Self {
        Self::MemberUnknown(stray)
    }
}

impl From<Misspelling> for Remark {
    fn from(misspelling: Misspelling) -> Self {
        Self::TestValueUnknown(misspelling)
    }
}
