//! Commands to the dispatcher of events.

use tokio::sync::{mpsc, oneshot};

/// A command to the dispatcher.
#[derive(Debug)]
pub enum DispatcherCommand {
    /// Answers when nothing is due in an account; `None`: in all accounts.
    WaitUntilIdle(Option<i64>, oneshot::Sender<()>),
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

    /// Waits until nothing is due or in flight in an account; `None`: in all accounts.
    /// Only a poll that starts after this call counts. Returns false if the server stops first.
    pub async fn wait_until_idle(&self, account_id: Option<i64>) -> bool {
        self.send(|done| DispatcherCommand::WaitUntilIdle(account_id, done)).await
    }

    /// Waits until this server sends nothing more for an account that has ended.
    pub async fn forget(&self, account_id: i64) {
        self.send(|done| DispatcherCommand::Forget(account_id, done)).await;
    }

    async fn send(&self, command: impl FnOnce(oneshot::Sender<()>) -> DispatcherCommand) -> bool {
        let (done, answer) = oneshot::channel();
        self.0.send(command(done)).is_ok() && answer.await.is_ok()
    }
}
