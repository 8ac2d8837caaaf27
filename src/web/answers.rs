//! The memory of large answers: the size of one, and of all that are under way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::response::IntoResponse;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::jsonapi::error::{ANSWER_TOO_LARGE, Error, Errors, UNAVAILABLE};
use crate::jsonapi::render::LARGEST_ANSWER;

/// Size of a permit, in bytes.
const UNIT: usize = 1 << 10;
/// Size of the smallest answer that counts, in bytes.
const SMALLEST: usize = 64 << 10;

/// The memory of all large answers under way.
#[derive(Debug)]
pub struct AnswerMemory {
    free: Arc<Semaphore>,
    /// In units.
    total: usize,
}

/// Memory of one answer; free again when it is dropped.
#[derive(Debug)]
pub struct ReservedMemory {
    permit: OwnedSemaphorePermit,
}

/// Reserved memory on its way with an answer, as an extension.
#[derive(Debug, Clone)]
struct Carried(Arc<ReservedMemory>);

impl AnswerMemory {
    /// Creates a budget of this many MiB.
    pub fn new(mebibytes: u32) -> Self {
        let total = mebibytes as usize * ((1 << 20) / UNIT);
        Self { free: Arc::new(Semaphore::new(total)), total }
    }

    /// Reserves memory for an answer of `bytes`. An answer larger than the whole budget takes all of it.
    ///
    /// # Errors
    /// 503 if other answers hold the memory.
    pub fn reserve(&self, bytes: usize) -> Result<ReservedMemory, Errors> {
        let units = bytes.div_ceil(UNIT).min(self.total);
        let permit = Arc::clone(&self.free).try_acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX));
        permit.map(|permit| ReservedMemory { permit }).map_err(|_| {
            let detail = format!(
                "the large answers under way hold the {} MiB that --answer-memory allows; repeat the request in a moment",
                (self.total * UNIT) >> 20
            );
            Errors::from(Error::new(UNAVAILABLE, detail)).retry_after(1)
        })
    }

    /// Extends reserved memory to `bytes`.
    fn extend(&self, reserved: &mut ReservedMemory, bytes: usize) -> Result<(), Errors> {
        let units = bytes.div_ceil(UNIT).min(self.total);
        let missing = units.saturating_sub(reserved.permit.num_permits());
        if missing > 0 {
            reserved.permit.merge(self.reserve(missing * UNIT)?.permit);
        }
        Ok(())
    }
}

/// Lets an answer keep memory reserved for it.
pub fn with_memory(mut response: Response<Body>, reserved: Option<ReservedMemory>) -> Response<Body> {
    if let Some(reserved) = reserved {
        response.extensions_mut().insert(Carried(Arc::new(reserved)));
    }
    response
}

impl AnswerMemory {
    /// Gives an answer the memory that it needs until it was sent or dropped. A refusal replaces the answer to a read; a
    /// change is made by then, so its answer has to arrive.
    pub fn hold(&self, mut response: Response<Body>, is_read: bool) -> Response<Body> {
        let size = hyper::body::Body::size_hint(response.body()).exact().unwrap_or_default();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let carried = response.extensions_mut().remove::<Carried>();
        if size < SMALLEST {
            return response;
        }
        let reserved = match carried.and_then(|Carried(reserved)| Arc::into_inner(reserved)) {
            Some(mut reserved) => self.extend(&mut reserved, size).map(|()| reserved),
            None => self.reserve(size),
        };
        match reserved {
            Ok(reserved) => response.map(|body| Body::new(Held { body, reserved: Arc::new(reserved) })),
            Err(refused) if is_read => refused.into_response(),
            Err(_) => response,
        }
    }
}

/// A body that holds the memory reserved for it.
#[derive(Debug)]
struct Held {
    body: Body,
    reserved: Arc<ReservedMemory>,
}

/// Bytes of such a body. The connection keeps them until they are sent, longer than the body itself.
#[derive(Debug)]
struct HeldBytes {
    bytes: Bytes,
    _reserved: Arc<ReservedMemory>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let hold = |bytes| Bytes::from_owner(HeldBytes { bytes, _reserved: Arc::clone(&self.reserved) });
        frame.map_ok(|frame| frame.map_data(hold))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The parameter that made an answer as large as it is.
#[derive(Debug, Clone, Copy)]
pub enum Blamed {
    /// `page[size]`.
    PageSize {
        asked: u32,
        /// Number of entries on the page.
        entries: usize,
    },
    Include,
}

impl Blamed {
    /// Returns the 400 for an answer of `size` bytes or more.
    pub fn too_large(self, size: usize) -> Errors {
        let (most, size_in_mebibytes) = (LARGEST_ANSWER >> 20, size.div_ceil(1 << 20));
        match self {
            Self::PageSize { asked, entries } => {
                let fitting = (entries as u64 * LARGEST_ANSWER as u64 / size.max(1) as u64).max(1);
                let detail = format!(
                    "`page[size]` is {asked}, and this page would have {size_in_mebibytes} MiB or more; an answer has at \
                     most {most} MiB. Use page[size]={fitting} or less, or leave large fields out"
                );
                Error::new(ANSWER_TOO_LARGE, detail).parameter("page[size]").into()
            }
            Self::Include => {
                let detail = format!(
                    "`include` leads to an answer of {size_in_mebibytes} MiB or more; an answer has at most {most} MiB. \
                     List the related resources in pages instead"
                );
                Error::new(ANSWER_TOO_LARGE, detail).parameter("include").into()
            }
        }
    }
}
