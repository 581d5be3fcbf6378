//! What the `proof` command and the short forms in the tests share.

pub mod children;
pub mod histories;
pub mod random;
pub mod report;
pub mod torture;
