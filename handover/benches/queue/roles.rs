//! What a child of the benchmark can be started for.

use super::{cases, idle, latency, recovery};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Endpoint,
    Answerer,
    Idler,
    Victim,
    Survivor,
}

impl Role {
    const ALL: [Role; 5] = [Role::Endpoint, Role::Answerer, Role::Idler, Role::Victim, Role::Survivor];

    /// The work of the role of that name.
    pub fn work(name: &str, numbers: &[u64]) {
        let role = Role::ALL.into_iter().find(|role| format!("{role:?}") == name).expect("a role");
        match role {
            Role::Endpoint => cases::work_in_child(numbers),
            Role::Answerer => latency::answer_in_child(numbers),
            Role::Idler => idle::idle_in_child(numbers),
            Role::Victim => recovery::hold_in_child(numbers),
            Role::Survivor => recovery::survive_in_child(numbers),
        }
    }
}
