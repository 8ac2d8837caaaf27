//! What others want of whoever sends events.

use tokio::sync::{mpsc, oneshot};

/// What somebody wants of the sender of events.
#[derive(Debug)]
pub enum Order {
    /// To be told when nothing is due any more, in an account or in any.
    CatchUp(Option<i64>, oneshot::Sender<()>),
    /// That nothing of an account is sent any more: it has ended.
    Forget(i64, oneshot::Sender<()>),
}

/// Orders to the sender of events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::UnboundedSender<Order>);

/// Where the sender gets its orders.
#[derive(Debug)]
pub struct Inbox(mpsc::UnboundedReceiver<Order>);

impl Inbox {
    /// The next order; `None` once there can be no more.
    pub async fn next(&mut self) -> Option<Order> {
        self.0.recv().await
    }
}

impl Orders {
    /// Both ends.
    pub fn new() -> (Self, Inbox) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Inbox(receiver))
    }

    /// Returns once a look that began after this call found nothing due in an account, or in any, and nothing of it is
    /// under way; false where nothing more is sent, because the server stops.
    pub async fn caught_up(&self, account_id: Option<i64>) -> bool {
        self.give(|done| Order::CatchUp(account_id, done)).await
    }

    /// Returns once nothing of an account that has ended is sent any more by this server.
    pub async fn forget(&self, account_id: i64) {
        self.give(|done| Order::Forget(account_id, done)).await;
    }

    async fn give(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) -> bool {
        let (done, answer) = oneshot::channel();
        self.0.send(order(done)).is_ok() && answer.await.is_ok()
    }
}
