//! Commands to the dispatcher of events.

use tokio::sync::{mpsc, oneshot};

/// A command to the dispatcher.
#[derive(Debug)]
pub enum DispatcherCommand {
    /// Answers when nothing is due in any account.
    WaitUntilIdle(oneshot::Sender<()>),
    /// Stops sending for an account that has ended, then answers.
    Forget(i64, oneshot::Sender<()>),
}

/// Handle that sends commands to the dispatcher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DispatcherHandle(mpsc::UnboundedSender<DispatcherCommand>);

/// Receiver of the dispatcher's commands.
#[derive(Debug)]
pub struct Commands(mpsc::UnboundedReceiver<DispatcherCommand>);

impl Commands {
    /// Returns the next command; `None` if all handles are dropped.
    pub async fn next(&mut self) -> Option<DispatcherCommand> {
        self.0.recv().await
    }
}

impl DispatcherHandle {
    /// Returns both ends of a new channel.
    pub fn new() -> (Self, Commands) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Commands(receiver))
    }

    /// Waits until nothing is due or in flight in any account, or the server stops.
    /// Only a poll that starts after this call counts.
    pub async fn wait_until_idle(&self) {
        self.send(DispatcherCommand::WaitUntilIdle).await;
    }

    /// Waits until this server sends nothing more for an account that has ended.
    pub async fn forget(&self, account_id: i64) {
        self.send(|done| DispatcherCommand::Forget(account_id, done)).await;
    }

    async fn send(&self, command: impl FnOnce(oneshot::Sender<()>) -> DispatcherCommand) {
        let (done, answer) = oneshot::channel();
        if self.0.send(command(done)).is_ok() {
            // dropped unanswered when the server stops
            drop(answer.await);
        }
    }
}
