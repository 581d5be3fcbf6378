//! What this program starts itself again for.

use crate::shared::recovery;
use crate::stage;

/// What a child is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One run, from making the queue to the last endpoint's end. So a run that hangs or crashes is one run.
    Stage,
    /// One endpoint of a run between processes.
    Endpoint,
    /// Of a recovery: who is killed.
    Victim,
    /// Of a recovery: who goes on.
    Survivor,
}

impl Role {
    const ALL: [Role; 4] = [Role::Stage, Role::Endpoint, Role::Victim, Role::Survivor];

    /// The work of the role of that name.
    pub fn work(name: &str, numbers: &[u64]) {
        let role = Role::ALL.into_iter().find(|role| format!("{role:?}") == name).expect("a role");
        match role {
            Role::Stage => stage::play(numbers),
            Role::Endpoint => stage::play_endpoint(numbers),
            Role::Victim => recovery::hold_in_child(numbers),
            Role::Survivor => recovery::survive_in_child(numbers),
        }
    }
}
