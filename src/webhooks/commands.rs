//! Commands to the dispatcher of events.

use tokio::sync::{mpsc, oneshot};

/// A command to the dispatcher.
#[derive(Debug)]
pub enum Order {
    /// Answers when nothing is due in an account; `None`: in all accounts.
    CatchUp(Option<i64>, oneshot::Sender<()>),
    /// Stops sending for an account that has ended, then answers.
    Forget(i64, oneshot::Sender<()>),
}

/// Handle that sends commands to the dispatcher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::UnboundedSender<Order>);

/// Receiver of the dispatcher's commands.
#[derive(Debug)]
pub struct Inbox(mpsc::UnboundedReceiver<Order>);

impl Inbox {
    /// Returns the next command; `None` if all handles are dropped.
    pub async fn next(&mut self) -> Option<Order> {
        self.0.recv().await
    }
}

impl Orders {
    /// Returns both ends of a new channel.
    pub fn new() -> (Self, Inbox) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Inbox(receiver))
    }

    /// Waits until nothing is due or in flight in an account; `None`: in all accounts.
    /// Only a poll that starts after this call counts. Returns false if the server stops first.
    pub async fn caught_up(&self, account_id: Option<i64>) -> bool {
        self.send(|done| Order::CatchUp(account_id, done)).await
    }

    /// Waits until this server sends nothing more for an account that has ended.
    pub async fn forget(&self, account_id: i64) {
        self.send(|done| Order::Forget(account_id, done)).await;
    }

    async fn send(&self, command: impl FnOnce(oneshot::Sender<()>) -> Order) -> bool {
        let (done, answer) = oneshot::channel();
        self.0.send(command(done)).is_ok() && answer.await.is_ok()
    }
}
